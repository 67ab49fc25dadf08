"""What must hold at every moment of every history (see ``world``)."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from cbox_init.config.model import RestartPolicyName
from cbox_init.core.instance import KILL_AGAIN_S, SPAWN_AGAIN_S, Phase
from cbox_init.core.states import State
from cbox_init.core.summary import ended_for_good, has_settled, is_ready, process_state
from tests.core.world import Descendants, World

if TYPE_CHECKING:
    from cbox_init.config.rules import HealthRules, RestartRules, StopRules

#: What rounding may add to a time.
ROUNDING_S = 1e-6


class CheckedWorld(World):
    """A world that fails when an invariant does."""

    def __init__(
        self,
        restart_rules: RestartRules,
        stop_rules: StopRules,
        *,
        scale: int,
        oneshot: bool = False,
        health_rules: HealthRules | None = None,
    ) -> None:
        super().__init__(restart_rules, stop_rules, scale=scale, oneshot=oneshot, health_rules=health_rules)
        self._wanted_then: dict[int, int] = {}
        self._restarts: dict[int, int] = {}
        self._budget_used: dict[int, int] = {}
        self._moments = count()
        self._last_start = -1
        self._seen_to_end: dict[int, int] = {}

    # -- what is watched -------------------------------------------------------------------------------

    def start(self) -> None:
        super().start()
        self._last_start = next(self._moments)

    def restart(self) -> None:
        super().restart()
        self._last_start = next(self._moments)

    def clear(self) -> None:
        for index in self.clearing:
            if self.instances[index].phase is Phase.RUNNING:
                self._seen_to_end[index] = next(self._moments)
        super().clear()

    def spawn(self, index: int) -> None:
        assert index < self.wanted
        assert self.gate.open
        before = self.instances.get(index)
        by_policy = before is not None and before.phase is Phase.WAITING
        again = before is not None and before.spawned_before
        asked = before is not None and before.behind(self.desired.lineage)
        restarted = before is not None and before.generation < self.desired.generation
        if by_policy and not asked:
            self._check_restart_by_policy(index)
        else:
            self._budget_used[index] = 0
        super().spawn(index)
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
        super().tell_to_stop(index)

    def end_unhealthy(self, index: int) -> None:
        rules, health = self.health_rules, self.instances[index].health
        assert rules and health
        notice = health.notice
        too_late = rules.strict and health.late
        if not notice or not (notice.failure or (too_late and notice.starting)):
            assert rules.liveness, "ended by a check that is for readiness"
            assert health.failures >= rules.failure_threshold or too_late
        self._seen_to_end[index] = next(self._moments)
        super().end_unhealthy(index)

    def note_late(self, index: int) -> None:
        rules, before = self.health_rules, self.instances[index]
        assert rules and before.health
        assert not before.health.was_healthy
        assert self.now >= before.up_at + rules.initial_delay_s + rules.start_timeout_s - ROUNDING_S
        super().note_late(index)

    def forget(self, index: int) -> None:
        assert index >= self.desired.scale, "forgotten, and not scaled away"
        super().forget(index)
        self._restarts.pop(index, None)

    def look(self) -> None:
        super().look()
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
        assert sorted(self.instances) == list(range(desired.scale))
        failed = any(instance.state is State.FAILED for instance in self.instances.values())
        for instance in self.instances.values():
            if instance.phase is Phase.RUNNING:
                assert failed or instance.generation == desired.generation, "an old instance was left"
                assert instance.ready
            else:
                assert instance.phase is Phase.ENDED
                assert self._seen_to_end[instance.index] > self._last_start, "a start was lost"
        assert has_settled(desired, self.instances.values())

    def _check_observed(self) -> None:
        alive = {index for index, instance in self.instances.items() if instance.alive}
        assert alive == set(self.lives)
        for index, life in self.lives.items():
            assert self.instances[index].pid == (life.pid if life.main_alive else 0)

    def _check_number_alive(self) -> None:
        """Never more than are wanted, or were wanted when one that still lives was started."""
        assert len(self.lives) <= max([self.wanted, *(self._wanted_then[index] for index in self.lives)])

    def _check_stops_end(self) -> None:
        for life in self.lives.values():
            grace_s = self.longest_stop_s
            if life.breed.descendants is Descendants.FORKING:
                grace_s += KILL_AGAIN_S
            assert self.now <= life.ending_since + grace_s + ROUNDING_S, "a stop has not ended"

    def _check_wanted(self, index: int) -> None:
        """It runs, ends, waits for a stated time, was given up for a stated reason, or may not start yet."""
        instance = self.instances.get(index)
        if not self.gate.open:
            assert self.gate.reason
            return
        assert instance is not None
        assert instance.phase is not Phase.IDLE
        if instance.phase is Phase.STOPPING:
            assert instance.kill_at > self.now
        elif instance.phase is not Phase.RUNNING:
            assert instance.reason
            assert not instance.behind(self.desired.lineage)
            if instance.reason.startswith("gave up"):
                assert self._budget_used[index] == self.restart_rules.max_attempts
            assert instance.phase is Phase.ENDED or instance.due_at > self.now

    def _check_unwanted(self, index: int) -> None:
        """It is ending for good, or nothing of it lives; scaled away it is forgotten then."""
        instance = self.instances[index]
        if instance.phase is Phase.STOPPING:
            assert instance.asked
            assert instance.kill_at > self.now
        else:
            assert instance.phase in (Phase.IDLE, Phase.ENDED)
            assert index < self.desired.scale

    def _check_restart_by_policy(self, index: int) -> None:
        before, rules = self.instances[index], self.restart_rules
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
        assert since_end_s >= min(rules.backoff_initial_s * 2.0**used, rules.backoff_max_s)
        self._budget_used[index] = used + 1
        assert not rules.max_attempts or used < rules.max_attempts, "more restarts than the budget has"

    def _check_replacement(self, index: int) -> None:
        """A wanted instance is told to stop for a restart alone, when every other one is up."""
        assert self.gate.open
        assert self.instances[index].phase is Phase.RUNNING
        assert self.instances[index].generation < self.desired.generation
        for other in range(self.wanted):
            assert self.instances[other].phase in (Phase.RUNNING, Phase.ENDED)
            assert self.instances[other].state is not State.FAILED
            if self.instances[other].generation == self.desired.generation and other != index:
                assert self.instances[other].ready or self.instances[other].phase is Phase.ENDED

    def _check_summary(self) -> None:
        desired, instances = self.desired, self.instances.values()
        blocked = desired.run and not self.gate.open
        state = process_state(desired, instances, blocked=blocked, expired=blocked and self.gate.expired)
        up = [index for index in range(self.wanted) if self._is_up(index)]
        assert (state is State.RUNNING) == bool(up)
        if not self.wanted:
            assert state is (State.STOPPING if self.lives else State.STOPPED)
        if not self.oneshot:
            ready = [index for index in up if self.instances[index].ready]
            assert is_ready(desired, instances, oneshot=False) == (0 < len(ready) == self.wanted)
        if ended_for_good(desired, instances):
            assert not self.lives
            assert self.decide() == []
        if not blocked:
            ending = any(instance.phase is Phase.STOPPING for instance in instances)
            assert has_settled(desired, instances) is not (ending or self._waits_for_ready())

    def _waits_for_ready(self) -> bool:
        """Whether a restart waits for nothing but new instances that may get ready yet."""
        if not self.wanted:
            return False
        wanted = [one for index, one in self.instances.items() if index < self.wanted]
        new = [one for one in wanted if one.generation == self.desired.generation]
        if len(new) == len(wanted) or all(one.phase is not Phase.RUNNING for one in wanted if one not in new):
            return False
        stuck = [one for one in new if not one.ready and not (one.health and one.health.settling)]
        return all(one.phase is Phase.ENDED and one.state is not State.FAILED for one in stuck)

    def _is_up(self, index: int) -> bool:
        instance = self.instances.get(index)
        return instance is not None and instance.phase is Phase.RUNNING
