"""The plan: the program as the worker's machine code sees it, records of numbers and addresses.

Numba counts the references to every array it passes on, with atomic operations that all threads fight over; records
cost nothing. Every field is an int64 unless said otherwise; one that ends in ``_at`` is the address of an array. Rows of
numbers over neurons (state, fired, injected, drives) lie apart for each part: the address is that of their addresses.
"""

import numpy as np

from spikesim.engine.memory import LINE


def _record(fields: str, **others: str) -> np.dtype:
    return np.dtype([(name, others.get(name, "i8")) for name in fields.split()], align=True)


CELLS = _record("kind stage start recorded counted sweep rows_at constants_at limits_at stream "
                "train_steps_at train_ids_at train_sizes_at train_length injected_at fired_at graded")  # fmt: skip
TABLE = _record("part source base width delays_at below_at segments_at rows synapses_at size single")
ROWS = _record("seed part source kernel sources source_start source_step targets first last slot_start slot_step "
               "own_at own number p multapses starts_at starts stream weight_kind weights_at weights weight_stream scale "
               "delay_kind steps_at steps least limits_at limits guide_at guide delay_stream", seed="u8", p="f8", scale="f8")  # fmt: skip
FUTURE = _record("first width inputs_at arrivals_at scratch_at longest")  # a ring of what is under way to a part
DENSE = _record("source source_start source_step target target_start target_step port delay weights_at bits sources targets")
CONV = _record("source source_start source_step target target_start target_step port delay weights_at bits "
               "channels_last channels channels_inverse channels_shift width lines lines_inverse lines_shift "
               "line_size line_inverse line_shift targets target_line jump "
               "grouped group_in group_out channel_bytes row_starts_at rows_at columns_at runs whole_runs "
               "slides stride offset target_width open_columns together")  # fmt: skip
MEETS = _record("target weights count target_step weights_step")  # what a row of the source of a convolution meets
ALONG = _record("source source_start source_step target target_start target_step port delay weights_at bits "
                "sources whole inputs inputs_inverse inputs_shift outputs inner inner_inverse inner_shift row_width starts_at outputs_at "
                "rows_at singles_at straight_at")  # fmt: skip
HELD = _record("cells start step count changes_at changes values_at width")
NOISE = _record("cells start step count interval stream mean sd", mean="f8", sd="f8")
DRIVE = _record("cells start step count rows_at halves_at rests_at sets limits compared_at compared least "
                "stream rest weight counted", weight="f8")  # fmt: skip
SAMPLER = _record("cells row_at ids_at count interval out_at")
PLAN = _record(
    "seed stages together threads ring neurons populations ports bounds_at slots_at inputs_at input_size input_stride window barrier_at "
    "lead sweeps claims_at claim "
    "workers scratch_at due_at ticks_at timed history_at sizes_at history_counts_at history_width chunk records_at record_sizes_at "
    "recorded_at population_counts_at neuron_counts_at cells_at cells tables_at tables graded_at graded rows_at rows futures_at "
    "futures dense_at dense conv_at conv along_at along held_at held noise_at noise drives_at drives samplers_at samplers",
    seed="u8",
)

STIMULI, DELIVERY, UPDATE, MEETING = range(4)  # the phases of a step, as far as they are timed
PHASES = "stimuli", "deliver", "update", "wait"

SWEPT = 1024  # neurons of one call of a sweep

WORDS = LINE // 8  # int64 in a cache line; what threads count lies so far apart
