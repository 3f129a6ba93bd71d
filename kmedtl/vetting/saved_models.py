"""A SavedModel is a program: it may hold no operation but those that a classifier is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kmedtl.errors import UserError

# What kmedtl's own models are made of, and what does the same to tensors. Nothing here knows files, hosts or Python.
ARITHMETIC = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd BiasAddV1 Cast Ceil
    ClipByValue Cos Cumsum Div DivNoNan Einsum Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual
    Inv IsFinite IsInf IsNan L2Loss LeftShift Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul
    Max Maximum Mean Min Minimum Mul MulNoNan Neg NotEqual Pow Prod RealDiv Reciprocal RightShift Round Rsqrt Sigmoid
    Sign Sin Softmax Softplus Softsign Sqrt Square SquaredDifference Sub Sum Tan Tanh TopKV2 TruncateDiv TruncateMod
    Xdivy
"""
LAYERS = """
    AvgPool Conv2D DepthwiseConv2dNative Elu FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 LeakyRelu MaxPool
    MaxPoolV2 MirrorPad Pad PadV2 Relu Relu6 ResizeBicubic ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate Selu
    _FusedConv2D _FusedMatMul
"""
SHAPES = """
    BatchToSpaceND BroadcastArgs BroadcastTo ConcatV2 Const DepthToSpace EnsureShape ExpandDims Fill Gather GatherNd
    GatherV2 Identity IdentityN NoOp OneHot OnesLike Pack Placeholder PlaceholderWithDefault Range Rank Reshape Reverse
    ReverseV2 ScatterNd Select SelectV2 Shape ShapeN Size Slice SpaceToBatchND SpaceToDepth Split SplitV Squeeze
    StopGradient StridedSlice TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem
    TensorListStack Tile Transpose Unpack ZerosLike
"""
CONTROL = "Case If PartitionedCall StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile While"
VARIABLES = (
    "AssignVariableOp DisableCopyOnRead ReadVariableOp ResourceGather VarHandleOp VarIsInitializedOp VariableShape"
)
IMAGES = "DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePng"
ALLOWED = frozenset(" ".join((ARITHMETIC, LAYERS, SHAPES, CONTROL, VARIABLES, IMAGES)).split())
# Of the functions that save and restore variables: nothing that answers may call these.
OF_THE_SAVER = ALLOWED | {
    "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename", "StaticRegexFullMatch", "StringJoin",
}  # fmt: skip
REGISTERED = ("", "tf.TrackableConstant")  # a tensor that layers keep
OBJECTS = ("variable", "function", "bare_concrete_function", "constant", "captured_tensor", "user_object")
REVIVED = ("_generic_user_object", "signature_map", "trackable_list_wrapper", "trackable_dict_wrapper",
           "trackable_tuple_wrapper")  # fmt: skip
REMEDY = "open no model of unknown origin; export it anew with kmedtl"


def check_saved_model(folder: Path) -> None:
    """Refuse a SavedModel that holds more than a classifier needs; nothing of it runs meanwhile.

    All functions are looked at, called or not. The two that save and restore name files, and TensorFlow's loader never
    runs them; they are let through where nothing else in the model mentions them.

    Raises:
        UserError: not one model of TensorFlow 2, or an operation, a resource or an object that is not allowed.
    """
    graph = _only_graph(folder)
    ends = {name.partition(":")[0] for name in (graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name)}
    saver = {node.attr["f"].func.name for node in graph.graph_def.node if node.name in ends} - {""}
    _check_objects(folder, graph.object_graph_def)
    _check_nodes(folder, graph.graph_def.node, ALLOWED)
    for function in graph.graph_def.library.function:
        _check_function(folder, function, OF_THE_SAVER if function.signature.name in saver else ALLOWED)
    for part in _all_but_the_saver(graph, saver, ends):
        content = part.SerializeToString()
        for name in saver:
            if name.encode() in content:  # as a function, a text, a gradient or an object
                raise UserError(f"{folder}: calls the function '{name}', which reads or writes files; {REMEDY}.")


def _only_graph(folder: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except (DecodeError, OSError) as error:
        raise UserError(f"{folder}: not a SavedModel (saved_model.pb: {error or 'damaged'}).") from None
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].HasField("object_graph_def"):
        raise UserError(
            f"{folder}: expected a SavedModel of TensorFlow 2 with one graph. Received: {len(model.meta_graphs)}, or "
            f"one of TensorFlow 1, which runs while it is loaded; {REMEDY}."
        )
    return model.meta_graphs[0]


def _check_objects(folder: Path, objects: Any) -> None:
    """Refuse what the loader would make by a registered class, or a resource that it would initialise."""
    for node in objects.nodes:
        kind = node.WhichOneof("kind")
        registered = node.registered_saver or (node.registered_name if node.registered_name not in REGISTERED else "")
        if kind not in OBJECTS or registered or (kind == "user_object" and node.user_object.identifier not in REVIVED):
            named = registered or (node.user_object.identifier if kind == "user_object" else kind)
            raise UserError(f"{folder}: holds an object of the kind '{named}', which is not allowed; {REMEDY}.")
        if node.saveable_objects:
            raise UserError(f"{folder}: holds a way of its own to restore an object; {REMEDY}.")


def _check_function(folder: Path, function: Any, allowed: frozenset[str]) -> None:
    for key in function.attr:
        if key.startswith("api_"):  # by which TensorFlow swaps functions for one another
            raise UserError(f"{folder}: its function '{function.signature.name}' has the attribute '{key}'; {REMEDY}.")
    _check_nodes(folder, function.node_def, allowed)


def _check_nodes(folder: Path, nodes: Iterable[Any], allowed: frozenset[str]) -> None:
    for node in nodes:
        if node.op not in allowed:
            raise UserError(
                f"{folder}: holds the operation '{node.op}', which a kmedtl model does not need and which may do more "
                f"than answer; {REMEDY}."
            )


def _all_but_the_saver(graph: Any, saver: set[str], ends: set[str]) -> Iterator[Any]:
    library = graph.graph_def.library
    yield graph.object_graph_def
    yield from (node for node in graph.graph_def.node if node.name not in ends)
    yield from (function for function in library.function if function.signature.name not in saver)
    yield from (node for function in library.function if function.signature.name in saver for node in function.node_def)
    yield from library.gradient
    yield from library.registered_gradients
