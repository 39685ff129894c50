"""Networks with weights out of the store: where a training starts, and what a finished one has left."""

from __future__ import annotations

from pathlib import Path

from trainers.checkpoint import decode_weights
from trainers.errors import CorruptFileError
from trainers.network import Network, build_network, load_body, load_complete
from trainers.spec import RunSpec, Weights, run_id
from trainers.storage import WEIGHTS, Store


def initial_network(spec: RunSpec, store: Store) -> Network:
    """The network before its first step: fresh, or with the body of another run or of given weights.

    With no epochs to come the given weights are all there is, classifier included.
    """
    network = build_network(spec)
    if spec.init_run is not None:
        load_body(network, spec.model, decode_weights(store.verified_file(run_id(spec.init_run), WEIGHTS)))
    if spec.init_weights is not None:
        load = load_body if spec.epochs else load_complete
        load(network, spec.model, decode_weights(_kept_weights(store, spec.init_weights)))
    return network


def _kept_weights(store: Store, weights: Weights) -> Path:
    file = store.local_weights(weights.digest)
    if file is None:
        raise CorruptFileError(f"{store.weights_file(weights.digest)} is missing; run the sweep again")
    return file


def trained_network(spec: RunSpec, store: Store) -> Network:
    """The network of a finished run, in evaluation mode, its weights checked and frozen."""
    network = build_network(spec)
    network.body.load_state_dict(decode_weights(store.verified_file(run_id(spec), WEIGHTS)))
    return network.eval().requires_grad_(False)
