"""The collection of the facts that a decision needs, and no more, from the object layer.

The access settings of a bucket are in the system metadata of its container, which is in the cache of infos. The list
of an account, the tags and the ACL of an object are looked up only if they can matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from objstore.access import condition_keys, swift_acls
from objstore.access import decision as rules
from objstore.access.acl import load
from objstore.access.bucket import ACL_SYSMETA, NO_DEFAULTS, POLICY_SYSMETA, BucketDefaults, of_container
from objstore.access.condition_keys import Circumstances, Subject
from objstore.access.decision import Decision, Facts, Need, ObjectAccess, Question, is_plain
from objstore.core.errors import BadVersionId, NotFound
from objstore.layers.interface import ObjectLayer, ReadOptions
from objstore.web.context import RequestContext
from objstore.web.infos import ContainerInfo

# Headers that store the ACL and the tags (URL-encoded) of an object.
OBJECT_ACL = "X-Object-Transient-Sysmeta-S3-Acl"
OBJECT_TAGS = "X-Object-Transient-Sysmeta-S3-Tags"

_Answer = TypeVar("_Answer", Decision, bool)


# Returns the circumstances of a request; the keys are the condition keys in use, since some values are costly.
Describe = Callable[[frozenset[str]], Circumstances]


def lets_owner_pass(info: ContainerInfo, action: str, s3: bool) -> bool:
    """Return whether the container of this info allows its owner an action without any further fact.

    `decide` returns the same. Most requests are of this kind: checked first, they need no question.
    """
    sysmeta = info.sysmeta
    return is_plain(action, s3, POLICY_SYSMETA in sysmeta, ACL_SYSMETA in sysmeta or bool(info.write_acl))


class Judge(NamedTuple):
    """A question, with the means to collect the facts for `decision`.

    layer: the object layer, for accounts, containers and objects. context, circumstances: of the request. info: of the
    container, None to look it up. defaults: of buckets without their own settings. Both methods raise MalformedPolicy
    if the policy cannot be read, and the errors of the layer and of `circumstances`.
    """

    layer: ObjectLayer
    context: RequestContext
    question: Question
    circumstances: Describe
    info: ContainerInfo | None = None
    defaults: BucketDefaults = NO_DEFAULTS

    def decide(self) -> Decision:
        return self._settled(rules.decide)

    def denies(self) -> bool:
        """Return whether the bucket's policy denies the action."""
        return self._settled(rules.denies)

    def _settled(self, rule: Callable[[Question, Facts], _Answer | Need]) -> _Answer:
        """Return the answer of a rule, after collecting the facts that it needs."""
        question, info, facts = self.question, self.info, Facts()
        if question.name.container is not None:
            info = info or self.layer.container_info(self.context, question.name)
            sysmeta = info.sysmeta
            facts = Facts(None, POLICY_SYSMETA in sysmeta, ACL_SYSMETA in sysmeta or bool(info.write_acl))
        while isinstance(answer := rule(question, facts), Need):
            if answer is Need.BUCKET and info is not None:
                facts = facts._replace(bucket=of_container(question.name, info, self.defaults))
            else:
                facts = self._with(answer, facts)
        return answer

    def _with(self, need: Need, facts: Facts) -> Facts:
        if need is Need.LEVEL:
            return facts._replace(level=self._level())
        if need is Need.STORED:
            return facts._replace(stored=self._stored())
        return self._with_values(facts)

    def _level(self) -> str:
        info = self.layer.account_info(self.context, self.question.name.account)
        text = info.sysmeta.get(swift_acls.ACCOUNT_ACL_SYSMETA, "")
        identity = self.question.identity
        return swift_acls.account_level(text, (*identity.groups, *identity.accounts))

    def _stored(self) -> ObjectAccess:
        name, version_id = self.question.name, self.question.version_id
        try:
            reply = self.layer.open(self.context, name, ReadOptions(head=True, version_id=version_id))
        except (NotFound, BadVersionId):
            return ObjectAccess()
        reply.close()
        headers = reply.headers
        return ObjectAccess(load(headers.get(OBJECT_ACL, ""), name.account), headers.get(OBJECT_TAGS, ""))

    def _with_values(self, facts: Facts) -> Facts:
        bucket, question = facts.bucket, self.question
        assert bucket is not None and bucket.policy is not None
        keys = bucket.policy.keys
        if facts.stored is None and question.name.object is not None and condition_keys.needs_stored_tags(keys):
            facts = facts._replace(stored=self._stored())
        tags = facts.stored.tags if facts.stored is not None else ""
        subject = Subject(self.circumstances(keys), question.identity, bucket.owner, tags, question.version_id)
        return facts._replace(values=condition_keys.gather(keys, subject))
