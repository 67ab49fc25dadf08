"""One process and its children in a world of values, with its own clock.

It carries out what ``decide`` asks for, and takes in what happens, as the supervisor's process loop does.
Children do what their breed says: end by themselves, take their time to stop, ignore the stop signal, leave
descendants behind.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from cbox_init.config.model import RestartPolicyName
from cbox_init.config.rules import RunLimit
from cbox_init.core import dependencies
from cbox_init.core import instance as transitions
from cbox_init.core.decide import (
    Action,
    CancelRestart,
    Forget,
    Kill,
    NoteOverdue,
    Signal,
    Spawn,
    Stop,
    Terminate,
    Wait,
    decide,
)
from cbox_init.core.health import (
    CHECK_AGAIN_S,
    CheckResult,
    first_check_at,
    in_start,
    next_check_at,
    shows_change,
    spread,
)
from cbox_init.core.instance import LEAST_GRACE_S, Instance, Phase
from cbox_init.core.notify import NotifyMessage, NotifyState
from cbox_init.core.restart import Ending
from cbox_init.core.rollout import ONE_BY_ONE, Rolling
from cbox_init.core.states import Desired

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cbox_init.config.rules import HealthRules, RestartRules, RolloutRules, StopRules
    from cbox_init.core.rollout import Back

#: One decision may lead to another, but each reconciliation ends within this many.
MOST_ROUNDS = 6
#: How often the process is reconciled at most while a world of these tests goes on.
MOST_LOOKS = 10_000


class Descendants(Enum):
    """What an instance leaves behind when its main process ends."""

    NONE = "none"
    OBEDIENT = "obedient"
    STUBBORN = "stubborn"  # end when they are killed
    FORKING = "forking"  # end when they are killed for the second time


class Breed(NamedTuple):
    """What the next children are like. ``inf`` is never."""

    spawns: bool = True
    lives_s: float = inf
    exit_code: int = 1
    stop_takes_s: float = 0.0
    descendants: Descendants = Descendants.NONE
    hook_takes_s: float = 0.0
    healthy_after_s: float = 0.0
    sick_after_s: float = inf
    checked_after_s: float = 0.0
    ready_after_s: float = 0.0


class Rules(NamedTuple):
    """What a configuration says of the process. ``launch`` differs where new instances are needed."""

    restart: RestartRules
    stop: StopRules
    health: HealthRules | None = None
    rollout: RolloutRules = ONE_BY_ONE
    launch: int = 0

    @property
    def announced(self) -> bool:
        return self.health is not None and self.health.announced


class Life:
    """What lives of one instance."""

    def __init__(self, index: int, pid: int, breed: Breed, rules: Rules, now: float) -> None:
        self.index = index
        self.rules = rules
        self.pid = pid
        self.breed = breed
        self.main_alive = True
        self.main_ends_at = now + breed.lives_s
        self.exit_code = breed.exit_code
        self.rest_alive = breed.descendants is not Descendants.NONE
        self.rest_ends_at = inf
        self.kills = 0
        self.ending_since = inf
        self.hook_ends_at = inf
        self.in_hook = self.tidied = False
        self.began_at = now
        self.check_at = inf
        self.aligned = False
        self.says_ready_at = inf

    @property
    def longest_stop_s(self) -> float:
        """A stop takes no longer, but for a second kill."""
        rules = self.rules.stop
        least_s = min(LEAST_GRACE_S, rules.timeout_s) if rules.pre_stop else 0.0
        return rules.timeout_s + least_s + rules.post_stop_s

    def healthy(self, now: float) -> bool:
        return self.breed.healthy_after_s <= now - self.began_at < self.breed.sick_after_s

    def sickens(self, now: float) -> None:
        self.breed = self.breed._replace(sick_after_s=now - self.began_at)

    def heals(self) -> None:
        self.breed = self.breed._replace(healthy_after_s=0.0, sick_after_s=inf)

    def announces(self, now: float) -> None:
        """It says that it is ready when it is, and again when it has said something else."""
        self.says_ready_at = max(now, self.began_at + self.breed.ready_after_s)

    def signalled(self, now: float) -> None:
        """The stop signal: to the whole group."""
        self.ending_since = min(self.ending_since, now)
        ends_at = now + self.breed.stop_takes_s * (self.index + 1)  # not all of them at one time
        if self.main_alive and ends_at < self.main_ends_at:
            self.main_ends_at, self.exit_code = ends_at, 143
        if self.breed.descendants is Descendants.OBEDIENT:
            self.rest_ends_at = min(self.rest_ends_at, ends_at)

    def killed(self, now: float) -> None:
        self.kills += 1
        if self.main_alive and now < self.main_ends_at:
            self.main_ends_at, self.exit_code = now, 137
        if self.breed.descendants is not Descendants.FORKING or self.kills > 1:
            self.rest_ends_at = now

    def begins_hook(self, now: float) -> None:
        self.ending_since = min(self.ending_since, now)
        self.in_hook, self.hook_ends_at = True, now + self.breed.hook_takes_s

    def hook_killed(self, now: float) -> None:
        """Its end is taken in by the next ``reconcile``, which comes at once."""
        self.hook_ends_at = now if self.in_hook else inf

    def ends_hook(self) -> None:
        self.in_hook, self.hook_ends_at = False, inf

    def exits(self, exit_code: int, now: float) -> None:
        self.main_ends_at, self.exit_code = now, exit_code

    @property
    def next_end_at(self) -> float:
        return min(
            self.main_ends_at if self.main_alive else inf,
            self.rest_ends_at if self.rest_alive else inf,
            self.hook_ends_at,
        )


class World:
    """A process under supervision. Commands and exits are taken in by the next ``reconcile``."""

    def __init__(
        self,
        rules: Rules,
        *,
        scale: int,
        oneshot: bool = False,
    ) -> None:
        self.oneshot = oneshot
        self.rules = self.permitted(rules)
        self.rolling: Rolling[Rules] = Rolling(self.rules)
        self.dependency_timeout_s = 20.0
        self.breed = Breed()
        self.waiting_for: tuple[str, ...] = ()
        self.now = 1000.0
        self.desired = Desired(run=False, scale=scale)
        self.gate = dependencies.new_gate((), now=self.now, timeout_s=0.0)
        self.instances: dict[int, Instance] = {}
        self.lives: dict[int, Life] = {}
        self.clearing: set[int] = set()
        self.next_at = inf
        self._last_pid = 0
        self._made_of = f"{self.rules}, scale={scale}, {oneshot=}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._made_of})"

    @property
    def longest_stop_s(self) -> float:
        """The stop of everything that lives takes no longer, but for second kills."""
        return max((life.longest_stop_s for life in self.lives.values()), default=0.0)

    @property
    def wanted(self) -> int:
        return self.desired.scale if self.desired.run else 0

    # -- commands and other news -----------------------------------------------------------------------

    def start(self) -> None:
        self._begin_gate()
        self.want(run=True, scale=self.desired.scale, starts=self.desired.starts + 1)

    def stop(self) -> None:
        self.want(run=False, scale=self.desired.scale)

    def restart(self) -> None:
        self._begin_gate()
        self.want(run=True, scale=self.desired.scale, generation=self.desired.generation + 1)

    def stop_one(self, nth: int) -> None:
        """A command stops the ``nth`` of those that are wanted alone; the process with the last one."""
        wanted = [one for one in self.instances.values() if one.index < self.wanted]
        if not wanted:
            return
        one, revision = wanted[nth % len(wanted)], self.desired.revision
        if all(other.stays_down(revision) for other in wanted if other is not one):
            self.stop()
            return
        self.instances[one.index] = transitions.held_down(one, revision)
        self.next_at = self.now

    def restart_one(self, nth: int) -> None:
        """A command replaces the ``nth`` of those that are wanted alone."""
        wanted = [one for one in self.instances.values() if one.index < self.wanted]
        if wanted:
            one = wanted[nth % len(wanted)]
            self.instances[one.index] = transitions.restarted_alone(one)
            self.next_at = self.now

    def scale(self, count: int) -> None:
        self.want(run=self.desired.run, scale=min(count, 1) if self.oneshot else count)

    def want(
        self, *, run: bool, scale: int, generation: int | None = None, starts: int | None = None
    ) -> None:
        before = self.desired
        self.desired = Desired(
            run=run,
            scale=scale,
            generation=before.generation if generation is None else generation,
            starts=before.starts if starts is None else starts,
        )
        self.next_at = self.now

    def reload(self, rules: Rules) -> None:
        """Another configuration; with another ``launch`` the instances are to be replaced."""
        rules = self.permitted(rules)
        # Whether an instance speaks for itself is a matter of its type, and that of its start.
        replaces = (rules.launch, rules.announced) != (self.rules.launch, self.rules.announced)
        if replaces and self.desired.run:
            self.restart()
        self.adopt(rules, in_place=not replaces)

    def permitted(self, rules: Rules) -> Rules:
        """``rules`` as a oneshot may have them, when it is one."""
        if not self.oneshot:
            return rules
        restart = rules.restart
        if restart.policy is RestartPolicyName.ALWAYS:
            restart = replace(restart, policy=RestartPolicyName.ON_FAILURE)
        return rules._replace(restart=restart, rollout=replace(rules.rollout, max_surge=0))

    def adopt(self, rules: Rules, *, in_place: bool) -> None:
        before, self.rules = self.rules, rules
        rechecks = rules.health != before.health
        for life in self.lives.values() if in_place else ():
            instance = self.instances[life.index]
            if instance.phase is not Phase.RUNNING or life.rules is not before:
                continue  # it is stopped in the way in which it was started
            life.rules = rules
            if rechecks:
                self.instances[life.index] = transitions.rechecked(instance, rules.health, now=self.now)
                life.check_at = self.first_check_at(rules, life.index, self.now)
        self.rolling.adopted(rules, replaces=not in_place)
        self.next_at = self.now

    def depends(self, waiting_for: tuple[str, ...]) -> None:
        """Its dependencies are not ready, or are (none are given)."""
        self.waiting_for = waiting_for
        self.next_at = self.now

    def breeds(self, breed: Breed) -> None:
        """What is spawned from now on is like this."""
        self.breed = breed

    def calm_down(self) -> None:
        """From now on nothing fails and nothing is missing."""
        self.breed = Breed()
        self.depends(())
        for life in self.lives.values():
            life.heals()
            life.breed = life.breed._replace(ready_after_s=0.0)
            if life.rules.announced:
                life.announces(self.now)
            if life.main_alive and life.ending_since == inf:
                life.main_ends_at = inf

    def exit(self, nth: int, exit_code: int) -> None:
        """The main process of the ``nth`` of those that have one ends by itself."""
        mains = [life for life in self.lives.values() if life.main_alive]
        if mains:
            mains[nth % len(mains)].exits(exit_code, self.now)
            self.reap()

    def sicken(self, nth: int) -> None:
        """The checks of the ``nth`` of those that live fail from now on."""
        lives = list(self.lives.values())
        if lives:
            lives[nth % len(lives)].sickens(self.now)

    def fatten(self, nth: int) -> None:
        """The ``nth`` of those that run is found above its memory limit."""
        runs = [one for one in self.instances.values() if one.phase is Phase.RUNNING]
        if runs:
            fat = runs[nth % len(runs)]
            self.instances[fat.index] = transitions.memory_measured(fat, "too much")
            self.next_at = self.now

    def outlive(self, nth: int) -> None:
        """The ``nth`` of those that run has run as long as it may."""
        runs = [one for one in self.instances.values() if one.phase is Phase.RUNNING and not one.held]
        if runs:
            old = runs[nth % len(runs)]
            replaces = self.rules.restart.policy is not RestartPolicyName.NEVER
            limit = RunLimit(60.0, replaces)
            self.instances[old.index] = transitions.expired(
                old, limit, self.desired.revision, oneshot=self.oneshot
            )
            self.next_at = self.now

    def heal(self) -> None:
        """From now on the checks of all that live succeed."""
        for life in self.lives.values():
            life.heals()

    def say(self, nth: int, message: NotifyMessage) -> None:
        """The ``nth`` of those that live says something of itself, if it does such a thing."""
        lives = [life for life in self.lives.values() if life.main_alive and life.rules.announced]
        if lives:
            self.receive(lives[nth % len(lives)], message)

    def receive(self, life: Life, message: NotifyMessage) -> None:
        before = self.instances[life.index]
        assert before.health
        instance = self.instances[life.index] = transitions.notified(before, message, now=self.now)
        assert instance.health
        if before.phase is Phase.RUNNING and shows_change(before.health, instance.health):
            self.next_at = self.now

    def update_dependencies(self) -> None:
        for life in self.lives.values():
            if life.says_ready_at <= self.now:
                life.says_ready_at = inf
                if life.main_alive:
                    self.receive(life, NotifyMessage(states=(NotifyState.READY,)))

    def check_health(self) -> None:
        """Take in the checks that are due; reconcile if that may require an action."""
        for life in self.lives.values():
            if life.check_at > self.now:
                continue
            before = self.instances[life.index]
            if not life.main_alive or before.phase is not Phase.RUNNING:
                life.check_at = inf
                continue
            assert before.health
            reason = None if life.healthy(self.now) else "refused"
            if self.now - life.began_at < life.breed.checked_after_s:
                unrun = CheckResult(unix=self.now, latency_s=0.0, reason="no descriptor", ran=False)
                self.instances[life.index] = transitions.checked(before, unrun, now=self.now)
                life.check_at = self.now + CHECK_AGAIN_S
                self.next_at = self.now
                continue
            result = CheckResult(unix=self.now, latency_s=0.0, reason=reason)
            instance = self.instances[life.index] = transitions.checked(before, result, now=self.now)
            assert instance.health
            rules, was_healthy = before.health.rules, instance.health.was_healthy
            starting = in_start(rules, up_at=before.up_at, now=self.now, was_healthy=was_healthy)
            life.check_at = next_check_at(
                rules,
                self.place(life.index),
                up_at=before.up_at,
                began_at=self.now,
                now=self.now,
                starting=starting,
                aligned=life.aligned,
            )
            life.aligned = not starting
            if shows_change(before.health, instance.health):
                self.next_at = self.now

    def first_check_at(self, rules: Rules, index: int, up_at: float) -> float:
        if rules.health is None or not rules.health.checked:
            return inf
        return first_check_at(rules.health, self.place(index), up_at=up_at)

    def place(self, index: int) -> float:
        return spread(f"web-{index}")

    def reap(self) -> None:
        """Take in who has ended until now."""
        for life in self.lives.values():
            if life.hook_ends_at <= self.now:
                life.ends_hook()
                before = self.instances[life.index]
                self.instances[life.index] = transitions.pre_stop_ended(before, now=self.now)
                self.next_at = self.now
            if life.rest_ends_at <= self.now:
                life.rest_alive = False
                self.next_at = self.now
            if life.main_alive and life.main_ends_at <= self.now:
                life.main_alive = False
                ending = Ending(life.exit_code, f"exited with code {life.exit_code}")
                before = self.instances[life.index]
                self.instances[life.index] = transitions.main_exited(before, ending, now=self.now)
                self.clearing.add(life.index)
                self.next_at = self.now

    # -- the loop --------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass, and reconcile whenever it is due."""
        end = self.now + seconds
        for _ in range(MOST_LOOKS):
            ends_at = min((life.next_end_at for life in self.lives.values()), default=inf)
            checks_at = min((life.check_at for life in self.lives.values()), default=inf)
            words_at = min((life.says_ready_at for life in self.lives.values()), default=inf)
            at = min(ends_at, checks_at, words_at, self.next_at)
            if at > end:
                break
            self.now = max(self.now, at)
            self.reap()
            self.check_health()
            self.update_dependencies()
            if self.next_at <= self.now:
                self.reconcile()
        else:
            raise AssertionError("a busy loop")
        self.now = end

    def reconcile(self) -> None:
        """Act until there is nothing to do now."""
        self.clear()
        self.update_gate()
        self.act()
        if self.follow_rollout():
            self.act()
            self.follow_rollout()

    def act(self) -> None:
        for _ in range(MOST_ROUNDS):
            actions = self.decide()
            if not [action for action in actions if not isinstance(action, Wait)]:
                break
            self.carry_out(actions)
        else:
            raise AssertionError(f"no end to it: still {actions}")
        self.set_next_time(actions)

    def follow_rollout(self) -> bool:
        """See how far a rollout is, and go back when it has failed; whether it did."""
        back = self.rolling.follow(self.desired, self.instances.values(), self.rules.rollout, now=self.now)
        if back is not None:
            self.roll_back(back)
        elif self.rolling.shown and self.rolling.shown.deadline is not None:
            self.next_at = min(self.next_at, self.rolling.shown.deadline)
        return back is not None

    def roll_back(self, back: Back[Rules]) -> None:
        self.want(run=True, scale=self.desired.scale, generation=back.generation)
        for index, instance in self.instances.items():
            if instance.generation == back.stable:
                self.instances[index] = transitions.counted_as(instance, generation=back.generation)
        self.rules = back.settings

    def reconcile_briefly(self, most: int) -> None:
        """Reconcile in a slice of time that is over after some actions; the next call goes on from there."""
        self.clear()
        self.update_gate()
        self.carry_out(self.decide()[:most])
        self.next_at = self.now

    def decide(self) -> list[Action]:
        return decide(
            self.desired,
            self.instances,
            may_spawn=self.gate.open,
            now=self.now,
            rules=self.rules.rollout,
        )

    def carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Spawn(index, surge):
                    self.spawn(index, surge=surge)
                case Stop(index):
                    self.tell_to_stop(index)
                case Signal(index):
                    self.signal(index)
                case Terminate(index):
                    self.terminate(index)
                case NoteOverdue(index):
                    self.note_late(index)
                case Kill(index):
                    self.kill(index)
                case CancelRestart(index):
                    self.instances[index] = transitions.restart_cancelled(self.instances[index])
                case Forget(index):
                    self.forget(index)

    def set_next_time(self, actions: list[Action]) -> None:
        times = [action.until for action in actions if isinstance(action, Wait)]
        assert all(until > self.now for until in times), "a wait for what is past is a busy loop"
        if self.desired.run and self.gate.deadline is not None:
            times.append(self.gate.deadline)
        self.next_at = min(times, default=inf)

    def spawn(self, index: int, *, surge: bool = False) -> None:
        assert index not in self.lives, "two live instances with one index"
        before = self.instances.get(index) or Instance(index=index, surge=surge)
        revision = self.desired.revision
        if not self.breed.spawns:
            self.instances[index] = transitions.spawn_failed(
                before,
                Ending(127, "no such file"),
                now=self.now,
                revision=revision,
                rules=self.rules.restart,
                oneshot=self.oneshot,
            )
            return
        self._last_pid += 1
        self.lives[index] = Life(index, self._last_pid, self.breed, self.rules, self.now)
        self.instances[index] = transitions.spawned(
            before,
            pid=self._last_pid,
            now=self.now,
            unix=self.now,
            revision=revision,
            health=self.rules.health,
        )
        if self.rules.announced:
            self.lives[index].announces(self.now)
        self.lives[index].check_at = self.first_check_at(self.rules, index, self.now)

    def tell_to_stop(self, index: int) -> None:
        before = self.instances[index]
        after = transitions.stop_begun(before, now=self.now, rules=self.lives[index].rules.stop)
        self.instances[index] = after
        if before.phase is not Phase.STOPPING:
            self.begin_stop(index)

    def begin_stop(self, index: int) -> None:
        if self.instances[index].signal_at is not None:
            self.lives[index].begins_hook(self.now)
        else:
            self.lives[index].signalled(self.now)

    def signal(self, index: int) -> None:
        before = self.instances[index]
        rules = self.lives[index].rules.stop
        self.instances[index] = transitions.signalled(before, now=self.now, rules=rules)
        self.lives[index].hook_killed(self.now)
        self.lives[index].signalled(self.now)

    def kill(self, index: int) -> None:
        self.instances[index] = transitions.killed(self.instances[index], now=self.now)
        self.lives[index].hook_killed(self.now)
        self.lives[index].killed(self.now)

    def terminate(self, index: int) -> None:
        self.instances[index] = transitions.terminated(
            self.instances[index],
            now=self.now,
            revision=self.desired.revision,
            rules=self.lives[index].rules.stop,
        )
        self.begin_stop(index)

    def note_late(self, index: int) -> None:
        self.instances[index] = transitions.overdue_noted(self.instances[index])

    def forget(self, index: int) -> None:
        assert index not in self.lives, "forgotten while it lives"
        del self.instances[index]

    def clear(self) -> None:
        """See what is left of instances whose main process has ended."""
        for index in sorted(self.clearing):
            instance, life = self.instances[index], self.lives[index]
            # A oneshot that did its work may leave a daemon behind.
            daemon = self.oneshot and instance.phase is Phase.RUNNING and life.exit_code == 0
            if life.rest_alive and not daemon:
                if instance.phase is Phase.RUNNING:
                    life.signalled(self.now)
                if instance.killed:
                    life.killed(self.now)
                self.instances[index] = transitions.left_behind(instance, now=self.now, rules=life.rules.stop)
            elif not life.in_hook:
                self.tidy_or_end(index)

    def tidy_or_end(self, index: int) -> None:
        """Nothing of it is left: a post-stop hook comes before the end of a stop by command."""
        instance, life = self.instances[index], self.lives[index]
        stopped = instance.phase is Phase.STOPPING and (instance.asked or instance.terminated_for is not None)
        if not stopped or not life.rules.stop.post_stop_s or life.tidied:
            self.end(index)
            return
        self.instances[index] = transitions.post_stop_begun(instance, now=self.now, rules=life.rules.stop)
        life.tidied = True
        life.begins_hook(self.now)

    def end(self, index: int) -> None:
        """Nothing of it is left."""
        self.clearing.discard(index)
        del self.lives[index]
        self.instances[index] = transitions.gone(
            self.instances[index],
            now=self.now,
            revision=self.desired.revision,
            rules=self.rules.restart,
            oneshot=self.oneshot,
        )

    def update_gate(self) -> None:
        if self.desired.run:
            self.gate = dependencies.updated_gate(self.gate, self.waiting_for, now=self.now)

    def _begin_gate(self) -> None:
        if not self.desired.run or self.gate.expired:
            self.gate = dependencies.new_gate(
                self.waiting_for, now=self.now, timeout_s=self.dependency_timeout_s
            )
