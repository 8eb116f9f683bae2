"""Reports of nights of every kind, for tests of what is made of them."""

from serve.night_report import CustomersIn, FieldDrift, Flow, Gate, Report, SegmentThen, SourceIn

GATES = (
    Gate("counts", "rows, events and customers that are not accounted for", 0, 0, "most"),
    Gate("finite", "vectors that are not finite", 0, 0, "most"),
    Gate("norms", "largest error of a vector's length", 2.1e-7, 1e-4, "most"),
    Gate("volume", "new events a day beside the usual number", None, 0.2, "least"),
    Gate("quarantined", "share of new rows in quarantine", 0.00213, 0.05, "most"),
    Gate("unseen", "largest share of a field's new events with an unknown value", 0.081, 0.3, "most"),
    Gate("field_drift", "largest population stability index of a field", 0.4312, 1.0, "most"),
    Gate("recall", "recall of the index", 0.9871, 0.95, "least"),
    Gate("unassigned", "share of customers in no segment", 0.23, 0.5, "most"),
    Gate("moved", "share of customers in another segment than before", 0.0123, 0.1, "most"),
)
SEGMENTS = (
    SegmentThen(0, "Often food, mornings", 301_220, 301_904),
    SegmentThen(3, "Much fuel and motorway tolls, weekdays before nine, rather high amounts", 180_001, 179_412),
    SegmentThen(7, "Wine & cheese", 140_122, 141_010),
    SegmentThen(12, "Flights, hotels abroad", 88_000, 88_000),
    SegmentThen(14, "Nights out", 0, 4_210),
    SegmentThen(5, "Cash only", 2_900, 0),
)
FLOWS = (
    Flow(-2, 0, 3_120), Flow(3, 7, 2_412), Flow(7, 14, 2_310), Flow(0, 14, 1_900), Flow(5, -1, 1_700),
    Flow(3, 0, 1_222), Flow(5, 0, 1_200), Flow(0, 3, 990), Flow(-1, 0, 812), Flow(-1, 12, 411),
    Flow(12, -1, 398), Flow(7, 3, 209),
    Flow(7, -1, 120), Flow(0, -1, 99), Flow(-1, 7, 44), Flow(-1, 3, 12), Flow(12, 3, 8), Flow(12, 7, 7),
    Flow(14, 0, 3), Flow(3, 12, 2), Flow(-2, -1, 2), Flow(0, -2, 1),
)  # fmt: skip
DRIFT = (
    FieldDrift("weekday", "time", 1.9, 0, 0, None, (("Thursday", 0.14, 1.0), ("Friday", 0.15, 0.0))),
    FieldDrift(
        "merchant", "categorical", 0.4312, 0.31, 0.28, 0.081,
        (("unknown to the model", 0.001, 0.081), ("GROCER 12", 0.12, 0.06), ("other values", 0.3, 0.35)),
    ),
    FieldDrift(
        "amount", "numeric", 0.131, 0.02, 0.02, None,
        (("above 4810", 0.0, 0.031), ("212 to 4810", 0.1, 0.13), ("0.5 to 3.2", 0.1, 0.07)),
    ),
    FieldDrift("kind", "categorical", 0.012, 0.4, 0.4, 0.0, (("atm", 0.1, 0.11),)),
    *(FieldDrift(f"field_{i}", "numeric", round(0.01 / i, 6), 0, 0, None) for i in range(1, 18)),
)  # fmt: skip
CUSTOMERS = CustomersIn(1_000_000, 1_003_119, 3_120, 27_004, 1_204, 1)
TIMINGS = {
    "prepare": 12.41, "embed": 31.9, "behaviour": 8.2, "index": 9.74, "segment": 22.0, "measure": 6.1, "seal": 7.7,
    "publish": 1.2, "events": 2.9, "audiences": 0.4, "webhook": 0.8, "prune": 0.3, "total": 104.4, "peak_mb": 5_210.0,
}  # fmt: skip
PUBLISHED = Report(
    kind="night",
    status="published",
    as_of="2025-05-01",
    reason="s-0a1b2c3d4e5f6071 is served.",
    snapshot="s-0a1b2c3d4e5f6071",
    previous="s-9988776655443322",
    model="m-11223344",
    previous_model="m-11223344",
    sources=(
        SourceIn("card", 3, 0, 90_021, 89_900, 101, 20, 0, 1_204),
        SourceIn("login", 1, 1, 40_100, 40_100, 0, 0, 0, 0),
        SourceIn("transfers <in & out>", 1, 0, 800, 790, 0, 0, 10, 0),
    ),
    events={"before": 210_112_008, "new": 130_790, "late": 812, "now": 210_242_798},
    customers=CUSTOMERS,
    gates=GATES,
    drift=DRIFT,
    vectors={"not_finite": 0, "norm_error": 2.1e-7, "centre_shift": 0.0012, "changed": 27_004, "changed_mean": 0.0031,
             "changed_p99": 0.0412},
    segments=SEGMENTS,
    flows=FLOWS,
    happened=(
        "7 (Wine & cheese) split: 14 (Nights out) left it (agreement 0.91, members 4,210).",
        "5 (Cash only) died (members 12).",
    ),
    alerts={"moved": 12_338, "shifted": 871},
    pruned=("s-1111111111111111", "s-2222222222222222"),
    warnings=("webhook: the webhook at hooks.bank.example answered 503, 5 times",),
    timings=TIMINGS,
)  # fmt: skip
HELD = Report(
    kind="night",
    status="held",
    as_of="2025-05-02",
    reason=(
        "s-77aa is held, and s-0a1b2c3d4e5f6071 stays served: field_drift is 1.431 (largest population stability index "
        "of a field; at most 1 passes); unassigned is 0.61 (share of customers in no segment; at most 0.5 passes)."
    ),
    snapshot="s-77aa",
    previous="s-0a1b2c3d4e5f6071",
    model="m-11223344",
    previous_model="m-11223344",
    sources=PUBLISHED.sources[:1],
    events=PUBLISHED.events,
    customers=CUSTOMERS,
    gates=(
        *GATES[:6],
        Gate("field_drift", "largest population stability index of a field", 1.431, 1.0, "most"),
        Gate("recall", "recall of the index", 0.93, 0.95, "least", accepted=True),
        Gate("unassigned", "share of customers in no segment", 0.61, 0.5, "most"),
        GATES[9],
    ),
    drift=(FieldDrift("merchant", "categorical", 1.431, 0.31, 0.28, 0.081, DRIFT[1].bins), *DRIFT[2:5]),
    vectors=PUBLISHED.vectors,
    segments=SEGMENTS[:3],
    flows=FLOWS[1:2],
    timings=TIMINGS,
)
RETRAINED = Report(
    kind="retrain",
    status="published",
    as_of="2025-05-02",
    reason="s-88bb is served.",
    snapshot="s-88bb",
    previous="s-0a1b2c3d4e5f6071",
    model="m-55667788",
    previous_model="m-11223344",
    events={"before": 210_242_798, "new": 0, "late": 0, "now": 210_242_798},
    gates=(*GATES[:3], Gate("segments_kept", "share of the segments that are kept", 1.0, 0.8, "least"), GATES[9]),
    segments=SEGMENTS[:4],
    flows=FLOWS[1:9],
    alerts={"moved": 8_120, "shifted": 0},
    model_change={"cosine": 0.9412, "cosine_before": 0.0213, "neighbours_kept": 0.712, "moved": 0.0081},
    timings={"train": 5_412.2, "embed": 812.0, "segment": 133.0, "total": 6_412.0, "peak_mb": 14_210.0},
)  # fmt: skip
EMPTY = Report(
    kind="night",
    status="nothing_new",
    as_of="2025-05-03",
    reason="No new events up to the end of 2025-05-03; s-0a1b2c3d4e5f6071 stays served.",
    snapshot=None,
    previous="s-0a1b2c3d4e5f6071",
    model="m-11223344",
    previous_model="m-11223344",
    timings={"prepare": 0.8, "total": 1.1, "peak_mb": 402.0},
)
REPORTS = {"published": PUBLISHED, "held": HELD, "retrained": RETRAINED, "empty": EMPTY}
