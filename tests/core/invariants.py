"""What must hold at every moment of every history (see ``world``)."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from cbox_init.config.model import RestartPolicyName, RolloutStrategy
from cbox_init.core.instance import KILL_AGAIN_S, SPAWN_AGAIN_S, Phase
from cbox_init.core.restart import SUCCESS_UPTIME_S
from cbox_init.core.states import State
from cbox_init.core.summary import ended_for_good, has_settled, is_ready, process_state
from tests.core.world import Descendants, World

if TYPE_CHECKING:
    from cbox_init.config.rules import RestartRules
    from cbox_init.core.instance import Instance
    from cbox_init.core.rollout import Back
    from tests.core.world import Rules

#: What rounding may add to a time.
ROUNDING_S = 1e-6


class CheckedWorld(World):
    """A world that fails when an invariant does."""

    def __init__(
        self,
        rules: Rules,
        *,
        scale: int,
        oneshot: bool = False,
    ) -> None:
        super().__init__(rules, scale=scale, oneshot=oneshot)
        self._judged_by: dict[int, RestartRules] = {}
        self._wanted_then: dict[int, int] = {}
        self._restarts: dict[int, int] = {}
        self._budget_used: dict[int, int] = {}
        self._moments = count()
        self._last_start = -1
        self._seen_to_end: dict[int, int] = {}
        self._down: dict[int, int] = {}
        self._alone: set[int] = set()

    # -- what is watched -------------------------------------------------------------------------------

    def start(self) -> None:
        super().start()
        self._last_start = next(self._moments)

    def restart(self) -> None:
        super().restart()
        self._last_start = next(self._moments)

    def stop_one(self, nth: int) -> None:
        before = dict(self.instances)
        super().stop_one(nth)
        for index, one in self.instances.items():
            if one is not before[index]:
                self._down[index] = next(self._moments)
                self._alone.add(index)

    def restart_one(self, nth: int) -> None:
        before = dict(self.instances)
        super().restart_one(nth)
        for index, one in self.instances.items():
            if one is not before[index]:
                self._down.pop(index, None)
                self._alone.add(index)

    def roll_back(self, back: Back[Rules]) -> None:
        assert self.rules.rollout.rollback
        assert self.rolling.shown
        assert self.rolling.shown.reason, "taken back without a reason"
        super().roll_back(back)
        self._last_start = next(self._moments)

    def clear(self) -> None:
        for index in self.clearing:
            if self.instances[index].phase is Phase.RUNNING:
                self._seen_to_end[index] = next(self._moments)
        super().clear()

    def end(self, index: int) -> None:
        self._judged_by[index] = self.rules.restart
        super().end(index)

    def spawn(self, index: int, *, surge: bool = False) -> None:
        self._check_spawn(index)
        held_since = self._down.pop(index, -1)
        assert held_since < self._last_start, "a command has stopped it, and none has started it"
        self._alone.discard(index)
        before = self.instances.get(index)
        by_policy = before is not None and before.phase is Phase.WAITING
        again = before is not None and before.spawned_before
        asked = before is not None and before.is_outdated(self.desired.revision)
        restarted = before is not None and before.generation < self.desired.generation
        if by_policy and not asked:
            self._check_restart_by_policy(index)
        else:
            self._budget_used[index] = 0
        super().spawn(index, surge=surge)
        self._judged_by[index] = self.rules.restart
        self._seen_to_end[index] = next(self._moments)
        self._wanted_then[index] = self.wanted
        restarts = self._restarts.get(index, 0) + (again and (by_policy or restarted))
        self._restarts[index] = restarts
        assert self.instances[index].restart_count == restarts, "restart_count counts the successors"
        assert sum(self.instances[index].restart_causes.values()) == restarts, "each has its reason"
        self._check_number_alive()

    def signal(self, index: int) -> None:
        instance, life = self.instances[index], self.lives[index]
        over = not life.in_hook or self.now >= instance.kill_at
        assert over, "signalled before its pre-stop hook is over"
        super().signal(index)

    def kill(self, index: int) -> None:
        assert self.instances[index].signal_at is None, "killed before it was told"
        super().kill(index)

    def tell_to_stop(self, index: int) -> None:
        if index < self.wanted:
            self._check_replacement(index)
        elif self.wanted and self.instances[index].surge:
            self._check_end_of_surge(index)
        super().tell_to_stop(index)

    def terminate(self, index: int) -> None:
        instance = self.instances[index]
        if not instance.excess and instance.overran is None:
            health = instance.health
            assert health
            rules, notice = health.rules, health.notify
            too_late = rules.strict and health.overdue
            if not notice or not (notice.failure or (too_late and notice.starting)):
                assert rules.liveness, "ended by a check that is for readiness"
                assert health.failures >= rules.failure_threshold or too_late
        self._seen_to_end[index] = next(self._moments)
        super().terminate(index)

    def note_late(self, index: int) -> None:
        before = self.instances[index]
        assert before.health
        assert not before.health.was_healthy
        super().note_late(index)

    def forget(self, index: int) -> None:
        assert index >= self.desired.scale, "forgotten, and not scaled away"
        super().forget(index)
        self._restarts.pop(index, None)
        self._down.pop(index, None)
        self._alone.discard(index)

    def reconcile(self) -> None:
        super().reconcile()
        self.check()

    # -- invariants ------------------------------------------------------------------------------------

    def check(self) -> None:
        """All that holds when there is nothing to do now."""
        self._check_observed()
        self._check_number_alive()
        self._check_stops_end()
        for index in range(self.wanted):
            self._check_wanted(index)
        for index in self.instances:
            if index >= self.wanted:
                self._check_unwanted(index)
        self._check_summary()

    def check_quiet(self) -> None:
        """What holds after the last command when time has passed, nothing fails and dependencies are ready:
        the last commands have won.
        """
        desired = self.desired
        if not self.wanted:
            assert not self.lives
            assert all(index < desired.scale for index in self.instances)
            return
        failed = any(instance.state is State.FAILED for instance in self.instances.values())
        extra = [index for index in sorted(self.instances) if index >= desired.scale]
        assert sorted(self.instances) == [*range(desired.scale), *extra]
        assert failed or not extra, "a surge instance was left"
        for instance in self.instances.values():
            if instance.phase is Phase.RUNNING:
                assert failed or instance.generation == desired.generation, "an old instance was left"
                assert instance.ready
            else:
                assert instance.phase is Phase.ENDED
                seen_at = max(self._seen_to_end[instance.index], self._down.get(instance.index, -1))
                assert seen_at > self._last_start, "a start was lost"
        assert has_settled(desired, self.instances.values())

    def _check_observed(self) -> None:
        alive = {index for index, instance in self.instances.items() if instance.alive}
        assert alive == set(self.lives)
        for index, life in self.lives.items():
            assert self.instances[index].pid == (life.pid if life.main_alive else 0)

    def _check_number_alive(self) -> None:
        """Never more than are wanted, or were wanted when one that still lives was started; but for surge
        instances, whose number is checked when one is spawned.
        """
        plain = [index for index in self.lives if not self.instances[index].surge]
        assert len(plain) <= max([self.wanted, *(self._wanted_then[index] for index in plain)])

    def _check_stops_end(self) -> None:
        for life in self.lives.values():
            grace_s = life.longest_stop_s
            if life.breed.descendants is Descendants.FORKING:
                grace_s += KILL_AGAIN_S
            assert self.now <= life.ending_since + grace_s + ROUNDING_S, "a stop has not ended"

    def _check_wanted(self, index: int) -> None:
        """It runs, ends, waits for a stated time, was given up for a stated reason, or may not start yet."""
        instance = self.instances.get(index)
        if not self.gate.open:
            assert self.gate.reason
            return
        if self._holds_spawns and (instance is None or not instance.alive):
            return
        assert instance is not None
        assert instance.phase is not Phase.IDLE
        if instance.phase is Phase.STOPPING:
            assert instance.kill_at > self.now
        elif instance.phase is not Phase.RUNNING:
            assert instance.reason
            assert not instance.is_outdated(self.desired.revision)
            if instance.reason.startswith("gave up"):
                assert self._budget_used[index] >= self._judged_by[index].max_attempts
            assert instance.phase is Phase.ENDED or instance.due_at > self.now

    def _check_unwanted(self, index: int) -> None:
        """It is ending for good, or nothing of it lives; scaled away it is forgotten then."""
        instance = self.instances[index]
        if instance.surge and self.wanted:
            return
        if instance.phase is Phase.STOPPING:
            assert instance.asked
            assert instance.kill_at > self.now
        else:
            assert instance.phase in (Phase.IDLE, Phase.ENDED)
            assert index < self.desired.scale

    def _check_restart_by_policy(self, index: int) -> None:
        before, rules = self.instances[index], self._judged_by[index]
        assert before.ending is not None
        assert rules.policy is not RestartPolicyName.NEVER
        assert rules.policy is RestartPolicyName.ALWAYS or not before.ending.success
        assert before.due_at <= self.now
        since_end_s = self.now - before.ended_at + ROUNDING_S
        if before.ending.exit_code == 127:
            assert since_end_s >= SPAWN_AGAIN_S, "a busy loop"
        if 0 < rules.stability_window_s <= before.ended_at - before.up_at:
            self._budget_used[index] = 0
            return
        used = self._budget_used[index]
        if before.ending.success:
            quick = before.ended_at - before.up_at < SUCCESS_UPTIME_S
            assert not quick or since_end_s >= min(rules.backoff_initial_s * 2.0**used, rules.backoff_max_s)
            return
        assert since_end_s >= min(rules.backoff_initial_s * 2.0**used, rules.backoff_max_s)
        self._budget_used[index] = used + 1
        assert not rules.max_attempts or used < rules.max_attempts, "more restarts than the budget has"

    def _check_replacement(self, index: int) -> None:
        """A wanted instance is told to stop for a rollout alone, when enough others serve."""
        before, rules = self.instances[index], self.rules.rollout
        assert before.phase is Phase.RUNNING
        if index in self._alone:
            self._alone.discard(index)
            return
        assert self.gate.open
        assert before.generation < self.desired.generation
        if rules.strategy is not RolloutStrategy.ROLLING:
            return
        wanted = [self.instances[other] for other in range(self.wanted) if other != index]
        down = sum(1 for one in wanted if one.state is State.FAILED or not (one.ready or is_done(one)))
        lent = [one for number, one in self.instances.items() if number >= self.wanted]
        stand_in = sum(1 for one in lent if one.ready or is_done(one))
        new = [one for one in (*wanted, *lent) if one.generation == self.desired.generation]
        assert not any(one.state is State.FAILED or one.phase is Phase.WAITING for one in new)
        permitted = max(rules.max_unavailable, int(not stand_in))
        if before.ready:
            assert down + 1 - stand_in <= permitted, "too few are left that serve"

    @property
    def _holds_spawns(self) -> bool:
        """Whether nothing new starts, since something old lives."""
        older = any(self.instances[index].generation < self.desired.generation for index in self.lives)
        return older and self.rules.rollout.strategy is RolloutStrategy.RECREATE

    def _check_spawn(self, index: int) -> None:
        assert self.gate.open
        rules = self.rules.rollout
        if index >= self.wanted:
            assert self.wanted, "a surge instance of what is stopped"
            lent = sum(1 for number in self.lives if number >= self.wanted and self.instances[number].surge)
            assert lent < rules.max_surge
            assert rules.highest_index is None or index <= rules.highest_index
            return
        assert not self._holds_spawns, "the old ones go first"

    def _check_end_of_surge(self, index: int) -> None:
        """One that is ready ends when it stands in for nobody any more, or too many are ready."""
        wanted = [self.instances.get(other) for other in range(self.wanted)]
        rules = self.rules.rollout
        room = self.wanted + rules.max_surge if rules.highest_index is None else rules.highest_index + 1
        permitted = min(rules.max_surge, room - self.wanted) * (rules.strategy is RolloutStrategy.ROLLING)
        lent = [one for number, one in self.instances.items() if number >= self.wanted and one.surge]
        over = all(
            one and one.generation == self.desired.generation and (one.ready or is_done(one))
            for one in wanted
        )
        serving = [one.index for one in lent if one.ready and one.termination is None]
        assert over or index not in serving or len(serving) > permitted, "others could have gone"

    def _check_summary(self) -> None:
        desired, instances = self.desired, self.instances.values()
        blocked = desired.run and not self.gate.open
        state = process_state(desired, instances, blocked=blocked, expired=blocked and self.gate.expired)
        up = [index for index in range(self.wanted) if self._is_up(index)]
        lent = [index for index in self.instances if index >= self.wanted > 0 and self._is_up(index)]
        assert (state is State.RUNNING) == bool(up or lent)
        if not self.wanted:
            assert state is (State.STOPPING if self.lives else State.STOPPED)
        if not self.oneshot:
            ready = [index for index in up if self.instances[index].ready]
            held = [one for one in instances if one.stays_down(desired.revision)]
            of = self.wanted - sum(one.index < self.wanted for one in held)
            assert is_ready(desired, instances, oneshot=False) == (0 < len(ready) == of)
        if ended_for_good(desired, instances):
            assert not self.lives
            assert self.decide() == []
        if not blocked:
            ending = any(instance.phase is Phase.STOPPING for instance in instances)
            assert has_settled(desired, instances) is not (ending or self._waits_for_ready())

    def _waits_for_ready(self) -> bool:
        """Whether a rollout waits for nothing but new instances that may get ready yet."""
        if not self.wanted:
            return False
        wanted = [one for index, one in self.instances.items() if index < self.wanted]
        lent = [one for index, one in self.instances.items() if index >= self.wanted]
        new = [one for one in wanted if one.generation == self.desired.generation]
        if not lent and all(one in new or one.phase is not Phase.RUNNING for one in wanted):
            return False
        stalled = [
            one
            for one in (*new, *lent)
            if not one.ready and not (one.health and one.health.may_become_healthy)
        ]
        return all(is_done(one) for one in stalled)

    def _is_up(self, index: int) -> bool:
        instance = self.instances.get(index)
        return instance is not None and instance.phase is Phase.RUNNING


def is_done(instance: Instance) -> bool:
    """Whether it has ended, and nobody misses it."""
    return instance.phase is Phase.ENDED and instance.state is not State.FAILED
