"""Every way in which access is given or refused: the table of cases, and what holds for all of them."""

from __future__ import annotations

import pytest
from unit.access.cases import (
    ACCOUNT,
    ALLOW_ALL,
    ANYONE,
    BUCKET,
    BY_ADDRESS,
    CASES,
    DENY_ALL,
    ENFORCED,
    INSIDE,
    KEY,
    OTHER,
    OUTSIDE,
    OWNER,
    PUBLIC_WRITE,
    REALM,
    Case,
    facts,
    granted,
    policy,
    statement,
)

from objstore.access import decision
from objstore.access.actions import ACTIONS
from objstore.access.bucket import BucketAccess
from objstore.access.decision import Decision, Facts, Need, Question, decide, denies, may_let_anyone
from objstore.access.identity import Identity


def ids(cases: list[Case]) -> list[str]:
    return [f"{'S3' if case.question.s3 else 'Swift'}: {case.situation}" for case in cases]


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_cases(case: Case) -> None:
    assert decide(case.question, case.facts) == case.made


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_facts_may_come_one_by_one(case: Case) -> None:
    """Each requested fact lets the decision go on, to the same end; no fact is asked for twice."""
    known = Facts()
    asked: list[Need] = []
    while isinstance(made := decide(case.question, known), Need):
        assert made not in asked
        asked.append(made)
        known = known._replace(**{made.value: getattr(case.facts, made.value)})
    assert made == case.made


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_an_owner_who_is_let_in_unseen_is_an_owner(case: Case) -> None:
    """The bucket is left unread only if it could not have changed the decision."""
    bucket = case.facts.bucket
    assert bucket is not None
    has_grants = bucket.acl != facts().bucket.acl or bool(bucket.write_acl)  # type: ignore[union-attr]
    made = decide(case.question, Facts(has_policy=bucket.policy is not None, has_grants=has_grants))
    assert made in (case.made, *Need)


def test_no_two_cases_are_called_the_same_and_each_rule_has_one() -> None:
    assert len(set(ids(CASES))) == len(CASES)
    rules = {each for each in vars(decision).values() if isinstance(each, Decision)}
    assert rules == {case.made for case in CASES}


@pytest.mark.parametrize("through_s3", [True, False])
@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_nothing_is_granted_by_silence(action: str, through_s3: bool) -> None:
    for who in (ANYONE, OTHER):
        for name in (ACCOUNT, BUCKET, KEY):
            made = decide(Question(who, action, name, through_s3, realm=None if through_s3 else REALM), facts())
            assert made == decision.NOT_GRANTED


@pytest.mark.parametrize("through_s3", [True, False])
@pytest.mark.parametrize("action", sorted(action for action in ACTIONS if action.startswith("s3:")))
def test_an_explicit_denial_is_final_for_others(action: str, through_s3: bool) -> None:
    everything = facts(
        granted("FULL_CONTROL"),
        granted("FULL_CONTROL"),
        "read-write",
        policy=policy(statement("Allow"), statement("Deny")),
        read_acl="*:*",
        write_acl="*:*",
    )
    assert decide(Question(OTHER, action, BUCKET, through_s3), everything) == decision.DENIED_BY_POLICY


READ = Question(OTHER, "s3:GetObject", KEY, True)


@pytest.mark.parametrize(
    ("question", "known", "need"),
    [
        (READ._replace(identity=OWNER), Facts(has_policy=False, has_grants=False), None),
        (READ._replace(identity=OWNER), Facts(has_policy=False, has_grants=True), Need.BUCKET),
        (READ._replace(identity=OWNER), Facts(has_policy=True, has_grants=False), Need.BUCKET),
        (READ._replace(identity=OWNER, action="s3:PutObject"), Facts(has_policy=False, has_grants=True), None),
        (READ._replace(identity=OWNER, s3=False), Facts(has_policy=False, has_grants=True), None),
        (READ._replace(identity=OWNER, action="s3:GetBucketPolicy"), Facts(), None),
        (READ, Facts(has_policy=False, has_grants=False), Need.BUCKET),
        (READ, Facts(facts(policy=ALLOW_ALL).bucket), None),
        (READ, Facts(facts(policy=DENY_ALL).bucket), None),
        (READ, Facts(facts(policy=BY_ADDRESS).bucket), Need.VALUES),
        (READ, Facts(facts(read_acl="other").bucket), None),
        (READ, Facts(facts().bucket), Need.LEVEL),
        (READ, Facts(facts().bucket, level="read-only"), None),
        (READ, Facts(facts().bucket, level=""), Need.STORED),
        (READ, Facts(facts(ownership=ENFORCED).bucket, level=""), None),
        (READ._replace(action="s3:PutObject"), Facts(facts().bucket, level=""), None),
        (READ._replace(identity=ANYONE), Facts(facts().bucket), Need.STORED),
        (READ._replace(identity=ANYONE, s3=False), Facts(facts().bucket), None),
        (READ._replace(identity=OWNER), Facts(facts(PUBLIC_WRITE).bucket), Need.STORED),
    ],
)
def test_a_fact_is_asked_for_only_if_it_can_matter(question: Question, known: Facts, need: Need | None) -> None:
    made = decide(question, known)
    assert (made if isinstance(made, Need) else None) is need


@pytest.mark.parametrize(
    ("known", "denied"),
    [
        (Facts(has_policy=False), False),
        (Facts(), Need.BUCKET),
        (facts(), False),
        (facts(policy=DENY_ALL), True),
        (facts(policy=ALLOW_ALL), False),
        (facts(policy=BY_ADDRESS), Need.VALUES),
        (facts(policy=BY_ADDRESS, values=OUTSIDE), True),
        (facts(policy=BY_ADDRESS, values=INSIDE), False),
    ],
)
def test_what_a_policy_denies_by_itself(known: Facts, denied: bool | Need) -> None:
    for who in (OWNER, OTHER, ANYONE):
        assert denies(READ._replace(identity=who), known) == denied


@pytest.mark.parametrize(
    ("known", "may"),
    [
        (facts(), False),
        (facts(PUBLIC_WRITE), True),
        (facts(PUBLIC_WRITE, ownership=ENFORCED), False),
        (facts(policy=policy(statement("Allow", action="s3:DeleteObject"))), True),
        (facts(policy=policy(statement("Allow", action="s3:GetObject"))), False),
        (facts(policy=policy(statement("Deny", action="s3:DeleteObject"))), False),
    ],
)
def test_whether_anyone_could_be_let_in(known: Facts, may: bool) -> None:
    bucket = known.bucket
    assert isinstance(bucket, BucketAccess)
    assert may_let_anyone(bucket, ("s3:DeleteObject",)) is may


def test_an_unknown_action_is_no_action() -> None:
    with pytest.raises(KeyError):
        decide(Question(Identity("a:b"), "s3:Fly", KEY, True), facts())
