"""When P/state is said, and when it is said again."""

from uplink_parts import E1

from gateway.uplink.retained import EVERY, SELDOM, STEADY, UNKEPT, StateTopic


def test_the_state_is_told_sparsely_and_its_zero_at_once():
    report = StateTopic()

    def tell(seq, backlog, now):
        due = report.due(E1, seq, backlog, now)
        if due:
            report.said(E1, seq, backlog, now)
        return due

    assert tell(1, 0, 0.0)
    assert not tell(2, 1, 1.0), "a live batch is a backlog for a moment"
    assert not tell(3, 0, 2.0)
    assert not tell(4, 5, 10.0)
    assert tell(4, 9, 10.0 + STEADY)
    assert not tell(4, 500, 20.0)
    assert tell(4, 500, 10.0 + STEADY + EVERY)
    assert tell(5, 0, 45.0)
    assert not tell(6, 0, 46.0)
    assert tell(60, 0, 45.0 + SELDOM)
    assert report.due("0" * 16, 61, 0, 346.0), "a new epoch is news"
    report.forget()
    assert report.due(E1, 60, 0, 346.0)


def test_where_the_broker_keeps_nothing_the_state_is_said_again_now_and_then():
    for kept in (True, False):
        report = StateTopic()
        assert report.due(E1, 1, 0, 0.0, kept=kept)
        report.said(E1, 1, 0, 0.0)
        assert not report.due(E1, 1, 0, UNKEPT - 1.0, kept=kept)
        assert report.due(E1, 1, 0, UNKEPT, kept=kept) is not kept
