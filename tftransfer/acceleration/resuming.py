"""Let a model take stored activations in place of its inputs, for a while."""

import contextlib

_KEY = "stored_activations"


def mark_activations(activations):
    """Wrap activations so that a model inside `resume_above` knows them from inputs."""
    return {_KEY: activations}


@contextlib.contextmanager
def resume_above(cuts):
    """Make models continue from the cut where they are given stored activations.

    Anything else they are given, by a callback for example, they run as before. It is
    the models themselves that change, so `fit`, its callbacks, and what they save see
    the whole model.

    Args:
        cuts: `Cut` of each model.
    """
    with contextlib.ExitStack() as stack:
        for cut in cuts:
            stack.enter_context(_resuming(cut))
        yield


@contextlib.contextmanager
def _resuming(cut):
    model = cut.model
    call, check = model.call, model._assert_input_compatibility

    def resuming_call(inputs, training=None, mask=None, **kwargs):
        if _is_marked(inputs):
            return cut.run_above(inputs[_KEY], training=training)
        return call(inputs, training=training, mask=mask, **kwargs)

    def resuming_check(*args):
        return None if _is_marked(args[0]) else check(*args)

    # On the instance and past Keras' own setter: the class and what is saved stay.
    changes = {"call": resuming_call, "_assert_input_compatibility": resuming_check}
    before = {name: vars(model)[name] for name in changes if name in vars(model)}
    model.__dict__.update(changes)
    try:
        yield
    finally:
        for name in changes:
            model.__dict__.pop(name)
        model.__dict__.update(before)


def _is_marked(inputs):
    return isinstance(inputs, dict) and _KEY in inputs
