"""Collects the facts that a decision needs, and no more: the object layer is asked for each as it is missed.

What a bucket says stands in the system metadata of its container, which is in the cache of infos. The list of an
account, the tags and the ACL of an object are looked up only if they can matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from objstore.access import condition_keys, swift_acls
from objstore.access import decision as rules
from objstore.access.bucket import ACL_SYSMETA, NO_DEFAULTS, POLICY_SYSMETA, BucketDefaults, of_container
from objstore.access.condition_keys import Circumstances, Subject
from objstore.access.decision import Decision, Facts, Need, ObjectAccess, Question, is_plain
from objstore.layers.interface import ObjectLayer
from objstore.web.context import RequestContext
from objstore.web.infos import ContainerInfo

# Where an object keeps its ACL and its tags (URL-encoded).
OBJECT_ACL = "X-Object-Transient-Sysmeta-S3-Acl"
OBJECT_TAGS = "X-Object-Transient-Sysmeta-S3-Tags"

_Answer = TypeVar("_Answer", Decision, bool)


class RequestFacts(Protocol):
    """What the language of a request can tell about it; asked only for what a decision needs."""

    def circumstances(self, keys: frozenset[str]) -> Circumstances:
        """Return how it is asked. keys: the condition keys that count, for what is costly to find out."""
        ...

    def stored(self) -> ObjectAccess:
        """Return the object that the question is about."""
        ...


def lets_owner_pass(info: ContainerInfo, action: str, s3: bool) -> bool:
    """Does the container of this info let its owner do an action, without a look at anything else?

    `Judge.decide` would say the same. Most requests are such: asked first, it saves them the making of a question.
    """
    sysmeta = info.sysmeta
    return is_plain(action, s3, POLICY_SYSMETA in sysmeta, ACL_SYSMETA in sysmeta or bool(info.write_acl))


class Judge:
    """Decides about questions, by `decision.decide`. layer: the object layer, which knows containers and accounts.

    Both methods take the request's context, the source of further facts, and what counts for buckets that say nothing;
    info: of the container, if it is known. They raise MalformedPolicy if the policy cannot be read, and what the layer
    and the source raise.
    """

    def __init__(self, layer: ObjectLayer) -> None:
        self._layer = layer

    def decide(
        self,
        context: RequestContext,
        question: Question,
        source: RequestFacts,
        info: ContainerInfo | None = None,
        defaults: BucketDefaults = NO_DEFAULTS,
    ) -> Decision:
        if question.name.container is None:
            facts = Facts()
        else:
            info = info or self._layer.container_info(context, question.name)
            sysmeta = info.sysmeta
            facts = Facts(None, POLICY_SYSMETA in sysmeta, ACL_SYSMETA in sysmeta or bool(info.write_acl))
        made = rules.decide(question, facts)
        if isinstance(made, Decision):
            return made
        return _Case(self._layer, context, question, source, info, defaults).settle(rules.decide, facts, made)

    def denies(
        self,
        context: RequestContext,
        question: Question,
        source: RequestFacts,
        info: ContainerInfo,
        defaults: BucketDefaults = NO_DEFAULTS,
    ) -> bool:
        """Does the bucket's policy deny it, whoever else allows it?"""
        facts = Facts(has_policy=POLICY_SYSMETA in info.sysmeta)
        made = rules.denies(question, facts)
        if isinstance(made, bool):
            return made
        return _Case(self._layer, context, question, source, info, defaults).settle(rules.denies, facts, made)


class _Case(NamedTuple):
    """A question, and where the facts about it come from."""

    layer: ObjectLayer
    context: RequestContext
    question: Question
    source: RequestFacts
    info: ContainerInfo | None
    defaults: BucketDefaults

    def settle(self, rule: Callable[[Question, Facts], _Answer | Need], facts: Facts, need: Need) -> _Answer:
        """Fetch what the rule needs until it answers."""
        while True:
            facts = self._with(need, facts)
            made = rule(self.question, facts)
            if not isinstance(made, Need):
                return made
            need = made

    def _with(self, need: Need, facts: Facts) -> Facts:
        if need is Need.BUCKET:
            assert self.info is not None
            return facts._replace(bucket=of_container(self.question.name, self.info, self.defaults))
        if need is Need.LEVEL:
            return facts._replace(level=self._level())
        if need is Need.STORED:
            return facts._replace(stored=self.source.stored())
        return self._with_values(facts)

    def _level(self) -> str:
        info = self.layer.account_info(self.context, self.question.name.account)
        text = info.sysmeta.get(swift_acls.ACCOUNT_ACL_SYSMETA, "")
        return swift_acls.account_level(text, self.question.identity.groups)

    def _with_values(self, facts: Facts) -> Facts:
        bucket, question = facts.bucket, self.question
        assert bucket is not None and bucket.policy is not None
        keys = bucket.policy.keys
        if facts.stored is None and question.name.object is not None and condition_keys.needs_stored_tags(keys):
            facts = facts._replace(stored=self.source.stored())
        tags = facts.stored.tags if facts.stored is not None else ""
        subject = Subject(self.source.circumstances(keys), question.identity, bucket.owner, tags)
        return facts._replace(values=condition_keys.gather(keys, subject))
