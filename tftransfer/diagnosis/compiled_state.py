"""Layers frozen or opened after `compile`, which training does not notice."""

from tftransfer.diagnosis.finding import ERROR, Finding, NotChecked
from tftransfer.freezing.recompiling import plain_optimizer


def find_stale_compile(case):
    """Find layers whose `trainable` is not what the model was compiled with.

    Told by the state that Keras notes in `compile`, and by the weights that the
    optimizer was built on: Keras forgets the first once it has warned.
    """
    model = case.model
    if not model.compiled or model.optimizer is None:
        raise NotChecked("the model is not compiled")
    noted = getattr(model, "_compiled_trainable_state", {})
    changed = [
        layer.name
        for layer in model._flatten_layers()
        if layer.weights and layer in noted and layer.trainable != noted[layer]
    ]
    unknown = _unknown_to(plain_optimizer(model.optimizer), model)
    if not changed and not unknown:
        return []
    evidence = {
        "layers changed": len(changed),
        "weights unknown to the optimizer": len(unknown),
        "such as": (changed or [x.path for x in unknown])[:3],
    }
    return [
        Finding(
            "stale_compile",
            ERROR,
            "Layers were frozen or opened after the model was compiled.",
            evidence,
            "Training goes on as compiled: frozen layers move and opened ones do not, "
            "or the optimizer stops at a weight that it does not know.",
            "model.compile(optimizer, loss, metrics)  # again, or "
            "tft.set_trainable_depth, which does so",
        )
    ]


def _unknown_to(optimizer, model):
    if not optimizer.built:
        return []
    variables = getattr(optimizer, "_trainable_variables", [])
    known = {id(variable) for variable in variables}
    if not known:
        return []
    return [x for x in model.trainable_variables if id(x) not in known]
