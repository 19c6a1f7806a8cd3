"""Orders of layers: what is refused, and that the right order is named."""

import logging
from dataclasses import dataclass
from itertools import combinations

import pytest

from objstore.core.errors import ConfigError
from objstore.core.policies import ONE_POLICY
from objstore.layers import registry, stack
from objstore.layers.passing import Passing
from objstore.layers.registry import LAYERS, StackSettings
from objstore.layers.stack import Deps, LayerKind, Outermost, Registry
from objstore.runtime import settings
from objstore.runtime.settings import natural, setting


class Outer(Passing):
    pass


@dataclass(frozen=True)
class InnerSettings:
    depth: int = setting(natural, "3", "how deep")


class Inner(Passing):
    def __init__(self, inner, depth):
        super().__init__(inner)
        self.depth = depth

    def open(self, context, name, options):
        return f"opened by {self.depth}"


class Bottom:
    """Every operation is its own name."""

    def __getattr__(self, name):
        if name == "inner":
            raise AttributeError(name)
        return lambda *arguments: name


def make_inner(inner, deps):
    return Inner(inner, settings.read(InnerSettings, deps.conf).depth)


THREE = Registry(
    (
        LayerKind("outer", lambda inner, deps: Outer(inner), outside_of=("middle", "inner")),
        LayerKind("middle", lambda inner, deps: Passing(inner), outside_of=("inner",)),
        LayerKind("inner", make_inner, InnerSettings, needed="nothing would open"),
    )
)


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ("outer inner other", "there is no layer other; there are outer, middle, inner"),
        ("outer outer inner", "outer is there twice"),
        ("outer", "inner is missing: nothing would open; write layers = outer inner"),
        ("", "inner is missing: nothing would open; write layers = inner"),
        ("inner outer", "outer must stand before inner; write layers = outer inner"),
        ("middle outer inner", "outer must stand before middle; write layers = outer middle inner"),
    ],
)
def test_a_wrong_order_is_refused_and_the_right_one_named(order, problem):
    with pytest.raises(ValueError, match="^" + problem.replace(".", r"\.") + "$"):
        THREE.order(order)


@pytest.mark.parametrize("order", ["inner", "outer inner", "middle, inner", "outer middle inner"])
def test_right_orders(order):
    assert THREE.order(order) == tuple(order.replace(",", "").split())


def deps(**conf):
    return Deps(conf, ONE_POLICY, logging.getLogger("test"), Outermost())


def test_the_first_layer_is_outermost_and_reads_its_settings():
    layer = THREE.build(Bottom(), deps(depth="7"), ("outer", "inner"))
    assert isinstance(layer, Outer) and isinstance(layer.inner, Inner)
    assert layer.open(None, None, None) == "opened by 7"
    assert stack.find(layer, Inner).depth == 7 and stack.find(layer, LayerKind) is None


def test_a_bad_setting_of_a_layer_is_a_config_error():
    with pytest.raises(ConfigError, match="depth = 'x'"):
        THREE.build(Bottom(), deps(depth="x"), ("inner",))


def test_what_a_layer_does_not_define_is_the_inner_operation_itself():
    bottom = Bottom()
    bottom.put = lambda *arguments: "put below"
    assert Inner(bottom, 1).put is bottom.put


def test_the_proxy_s_layers_can_all_stand_together():
    assert LAYERS.order(" ".join(LAYERS.names)) == LAYERS.names
    assert LAYERS.order(LAYERS.default)


def test_no_two_layers_have_a_setting_of_the_same_name():
    names = [one.name for one in registry.SETTINGS]
    assert not [pair for pair in combinations(names, 2) if pair[0] == pair[1]]


def test_the_setting_names_itself_where_it_is_wrong():
    with pytest.raises(ConfigError, match=r"layers = 'manifest' in app:proxy-server: there is no layer manifest"):
        settings.read(StackSettings, {"layers": "manifest"}, "app:proxy-server")


def test_every_layer_can_reach_the_outermost_one():
    given = deps()
    assert THREE.build(Bottom(), given, ("outer", "inner")) is given.outermost.layer
