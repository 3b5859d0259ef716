"""What the command line sets up before JAX is first used."""

import threading

from jax import monitoring

from gridscape._startup import BACKEND_COMPILE, WAITED, _compile_clock


def test_only_the_compiling_that_keeps_this_thread_counts():
    seconds = _compile_clock()
    monitoring.record_event_duration_secs(BACKEND_COMPILE, 2.0)
    monitoring.record_event_duration_secs(WAITED, 3.0)
    monitoring.record_event_duration_secs("/jax/core/compile/jaxpr_trace_duration", 5.0)
    elsewhere = threading.Thread(
        target=monitoring.record_event_duration_secs, args=(BACKEND_COMPILE, 7.0)
    )
    elsewhere.start()
    elsewhere.join()
    assert seconds() == 5.0
