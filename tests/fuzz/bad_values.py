"""Values that no field of their type takes, by resource and field."""

from __future__ import annotations

from typing import Any

TOO_LONG = "x" * 257

WHOLE = [0, -1, 2**31, -(2**31) - 1, 1.5, 1.0, "1", "", True, False, [], {}, [1], 10**30, 1e30, None]
INT32 = [2**31, -(2**31) - 1, 1.5, 1.0, "1", "", True, [], {"a": 1}, 10**30, -1e30]
NAME = [5, True, [], {"a": "b"}, ["x"], TOO_LONG, 1.5, -0.0]
TEXT = [5, True, [], {"a": "b"}, "x" * 16_385]
ID = ["", ".", "..", "a\0b", "\x1f", "\x85", TOO_LONG, 5, True, [], {"a": "b"}, ["x"]]
FLAG = [0, 1, "true", "", [], {}, {"a": 1}, 1.0]
SECONDS = [0, -1, "60", "", True, [], {"a": 1}, 1e300, 10**10, -0.5]
TIME = [
    "",
    "yesterday",
    "2024-13-01T00:00:00Z",
    "2024-02-30T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "24:00",
    5,
    True,
    [],
    {"a": 1},
]
LABELS = [
    "text", 5, True, ["a"], {"a": []}, {"a": [1]}, {"a": {"b": 1}}, {"": 1}, {TOO_LONG: 1}, {"a": "x" * 16_385},
    {"a": 2**64}, {"a": -(2**70)}, {f"{number:03}": number for number in range(101)},
]  # fmt: skip
OBJECT = ["text", 5, True, [], [1], {"kind": "nothing of the kind"}, {"kind": 5}, {"kind": ["static"]}]
SELECTOR = [
    5, "x", [], {"labelOperator": "equal", "value": 1}, {"key": "a"}, {"key": 5, "labelOperator": "equal"},
    {"key": "a", "labelOperator": "is"}, {"key": "a", "labelOperator": "equal", "value": [1]},
    {"key": "a", "labelOperator": "equal", "value": {"b": 1}}, {"key": "a", "labelOperator": 5, "value": 1}, {},
]  # fmt: skip
WORKER_SELECTOR = [
    *SELECTOR,
    {"key": "a", "labelOperator": "equal", "expiresAfterSeconds": 0},
    {"key": "a", "labelOperator": "equal", "expiresAfterSeconds": "60"},
    {"key": "a", "labelOperator": "equal", "expedite": "yes"},
]
NO_LIST = ["text", 5, True, {"a": 1}]
RULE = [
    *OBJECT, {"kind": "expression"}, {"kind": "expression", "expression": 5}, {"kind": "expression", "expression": "1 +"},
    {"kind": "expression", "expression": ")" * 300}, {"kind": "expression", "expression": "NoSuchFunction(1)"},
    {"kind": "expression", "expression": "'" + "((" * 500}, {"kind": "expression", "expression": "1", "language": "lua"},
    {"kind": "function"}, {"kind": "function", "functionUri": 5}, {"kind": "function", "functionUri": "x" * 16_385},
    {"kind": "function", "functionUri": "https://example.com/", "credential": "key"}, {"kind": "function", "functionUri": ""},
    *({"kind": "function", "functionUri": uri} for uri in ("not a uri", "ftp://x", "//example.com", "http://169.254.169.254/x", "https://")),
    {"kind": "webhook", "webhookUri": "http://example.com/"}, {"kind": "webhook", "webhookUri": "https://me:pw@example.com/"},
    {"kind": "webhook", "webhookUri": "https://example.com/", "authorizationServerUri": "example.com/token"},
    {"kind": "webhook", "webhookUri": ["x"]}, {"kind": "webhook", "webhookUri": "https://example.com/", "clientCredential": 5},
]  # fmt: skip
MODE = [
    None, *OBJECT, {"kind": "roundRobin", "minConcurrentOffers": 0}, {"kind": "roundRobin", "maxConcurrentOffers": 2**31},
    {"kind": "longestIdle", "minConcurrentOffers": 3, "maxConcurrentOffers": 2}, {"bypassSelectors": "no"},
    {"kind": "bestWorker", "scoringRule": {"kind": "?"}}, {"kind": "bestWorker", "scoringRuleOptions": {"batchSize": 0}},
    {"kind": "bestWorker", "scoringRuleOptions": {"scoringParameters": ["everything"]}},
]  # fmt: skip
MATCHING = [
    *OBJECT, {"kind": "scheduleAndSuspend"}, {"kind": "scheduleAndSuspend", "scheduleAt": "soon"},
    {"kind": "scheduleAndSuspend", "scheduleAt": "2001-01-01T00:00:00Z"}, {"kind": "scheduleAndSuspend", "scheduleAt": 5},
]  # fmt: skip


def lists(items: list[Any], most: int) -> list[Any]:
    """No lists, lists of bad items, and one that is too long."""
    return [*NO_LIST, *([item] for item in items), [None], [items[0]] * (most + 1)]


def attachments(field: str, selector: list[Any]) -> list[Any]:
    kinds = [
        {"kind": "static"},
        {"kind": "conditional"},
        {"kind": "ruleEngine"},
        {"kind": "passThrough"},
        {"kind": "weightedAllocation"},
    ]
    rules = [{"kind": "ruleEngine", "rule": rule} for rule in RULE]
    selectors = [{"kind": "static", field: one} for one in selector]
    weights = [
        {"kind": "weightedAllocation", "allocations": [{"weight": weight}]} for weight in (0, -1, "1", True, 1e10)
    ]
    empty = [
        {"kind": "weightedAllocation", "allocations": []},
        {"kind": "passThrough", "key": 5, "labelOperator": "equal"},
    ]
    return lists([*OBJECT, *kinds, *rules, *selectors, *weights, *empty], 100)


_TRIGGER = {"kind": "queueLength", "threshold": 1}
_RULES = [
    5, {}, {"id": "r"}, {"id": "", "trigger": _TRIGGER, "actions": []}, {"id": "r", "trigger": {"kind": "?"}, "actions": []},
    *({"id": "r", "trigger": {"kind": "queueLength", "threshold": bad}, "actions": []} for bad in WHOLE),
    *({"id": "r", "trigger": {"kind": "waitTime", "thresholdSeconds": bad}, "actions": []} for bad in SECONDS),
    *({"id": "r", "trigger": _TRIGGER, "actions": [bad]} for bad in (5, {}, {"kind": "explode"}, {"kind": "cancel", "note": 5},
      {"kind": "manualReclassify", "priority": 1.5}, {"kind": "manualReclassify", "queueId": ""},
      {"kind": "reclassify", "labelsToUpsert": {"a": []}})),
]  # fmt: skip

FIELDS: dict[str, dict[str, list[Any]]] = {
    "DistributionPolicy": {"name": NAME, "offerExpiresAfterSeconds": SECONDS, "mode": MODE},
    "ClassificationPolicy": {
        "name": NAME,
        "fallbackQueueId": ID,
        "prioritizationRule": RULE,
        "queueSelectorAttachments": attachments("queueSelector", SELECTOR),
        "workerSelectorAttachments": attachments("workerSelector", WORKER_SELECTOR),
    },
    "ExceptionPolicy": {
        "name": NAME,
        "exceptionRules": [*lists(_RULES, 100), [{"id": "r", "trigger": _TRIGGER, "actions": []}] * 2],
    },
    "Queue": {
        "name": NAME,
        "distributionPolicyId": [*ID, None, "there is no such policy"],
        "exceptionPolicyId": [*ID, "there is no such policy"],
        "labels": LABELS,
    },
    "Worker": {
        "capacity": WHOLE,
        "queues": lists([*ID, "there is no such queue"], 200),
        "labels": LABELS,
        "tags": LABELS,
        "availableForOffers": FLAG,
        "channels": lists(
            [5, {}, {"channelId": "v"}, {"capacityCostPerJob": 1}]
            + [{"channelId": "v", "capacityCostPerJob": bad} for bad in WHOLE]
            + [{"channelId": bad, "capacityCostPerJob": 1} for bad in ID]
            + [{"channelId": "v", "capacityCostPerJob": 1, "maxNumberOfJobs": bad} for bad in WHOLE if bad is not None],
            100,
        ),
    },
    "Job": {
        "channelId": [*ID, None],
        "queueId": [*ID, "there is no such queue"],
        "classificationPolicyId": [*ID, "there is no such policy"],
        "channelReference": NAME,
        "dispositionCode": NAME,
        "priority": INT32,
        "labels": LABELS,
        "tags": LABELS,
        "requestedWorkerSelectors": lists(WORKER_SELECTOR, 100),
        "notes": lists([5, {}, {"message": 5}, {"addedAt": "2024-01-01T00:00:00Z"}, *({"message": "m", "addedAt": bad} for bad in TIME)], 1000),
        "matchingMode": MATCHING,
    },
}  # fmt: skip

#: What actions take besides: the action's name and fields that are wrong.
OPTIONS: dict[str, dict[str, list[Any]]] = {
    "cancel": {"note": TEXT, "dispositionCode": NAME},
    "complete": {"note": TEXT},
    "close": {"note": TEXT, "dispositionCode": NAME, "closeAt": TIME},
    "unassign": {"suspendMatching": FLAG},
    "decline": {"retryOfferAt": TIME},
}
