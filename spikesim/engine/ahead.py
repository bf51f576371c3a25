"""Drawing ahead: a thread that would wait for others draws the Poisson drive of steps to come, for its parts, then for theirs.

Each part has claims, int64: the first step for which nobody has drawn yet, or begun to, and for each of its ``plan.lead`` rows one
more than the step whose drive it holds. So threads stay busy where some of them are slowed by what else the machine does.
"""

from numba import njit

from spikesim.barrier import exchange_atomic, give_way, load_atomic, store_atomic
from spikesim.engine.stimuli import drive_ports


@njit
def have_drive(plan, zero, worker, part, step):
    """Have the drive of a part for its next step drawn, by this thread unless another one has begun to."""
    claims = plan.claims_at + part * plan.claim
    if exchange_atomic(claims, step, step + 1):
        drive_ports(plan, zero, worker, part, step)
        return
    while load_atomic(_row_of(plan, claims, step)) != step + 1:
        give_way()


@njit
def draw_ahead(plan, zero, worker, step, last):
    """Draw the drive of one part for one step before ``last``; False if nothing is left to draw.

    At ``step``, the worker's parts have been through step - 1, and all others through step - 2: so many rows are free.
    """
    for turn in range(plan.threads if plan.drives else 0):
        part = (worker + turn) % plan.threads
        claims = plan.claims_at + part * plan.claim
        ahead = load_atomic(claims)
        if ahead < min(step + plan.lead - (part % plan.workers != worker), last):
            if exchange_atomic(claims, ahead, ahead + 1):
                drive_ports(plan, zero, worker, part, ahead)
                store_atomic(_row_of(plan, claims, ahead), ahead + 1)
            return True
    return False


@njit
def _row_of(plan, claims, step):
    return claims + 8 * (1 + step % plan.lead)
