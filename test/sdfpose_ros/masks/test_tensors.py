from __future__ import annotations

import numpy as np
import pytest
from recorded_messages import recorded

from sdfpose_core.messages.errors import EncodingError, ImageLayoutError
from sdfpose_ros.masks.tensors import masks_of_tensors


def tensors(values, data_type=2, dims=None):
    """An isaac_ros_tensor_list_interfaces/TensorList with one tensor."""
    dims = values.shape if dims is None else dims
    return recorded(
        "isaac_ros_tensor_list_interfaces/TensorList",
        tensors=[
            {
                "name": "masks",
                "shape": {"rank": len(dims), "dims": dims},
                "data_type": data_type,
                "data": np.frombuffer(values.tobytes(), np.uint8),
            }
        ],
    )


@pytest.mark.parametrize(
    ("data_type", "dtype"), [(1, "i1"), (2, "u1"), (5, "<i4"), (9, "<f4"), (10, "<f8")]
)
@pytest.mark.parametrize("channel", [(1,), ()])
def test_what_is_above_zero_belongs_to_the_mask(data_type, dtype, channel):
    values = np.array([[[0, 1], [1, 0], [0, 0]], [[0, 0], [0, 0], [1, 1]]])
    message = tensors(values.reshape(2, *channel, 3, 2).astype(dtype), data_type)
    np.testing.assert_array_equal(masks_of_tensors(message, "/m"), values > 0)


def test_logits_and_missing_values_are_no_mask():
    values = np.array([[[-3.0, 0.0, np.nan, 0.5]]], dtype=np.float32)
    np.testing.assert_array_equal(
        masks_of_tensors(tensors(values, 9), "/m"), [[[False, False, False, True]]]
    )


def test_no_tensor_is_no_mask():
    message = recorded("isaac_ros_tensor_list_interfaces/TensorList")
    assert masks_of_tensors(message, "/m").shape == (0, 0, 0)
    assert len(masks_of_tensors(tensors(np.zeros((0, 1, 4, 5), np.uint8)), "/m")) == 0


@pytest.mark.parametrize("data_type", [0, 11, -1])
def test_unknown_types_are_refused(data_type):
    message = tensors(np.zeros((1, 4, 5), np.uint8), data_type)
    with pytest.raises(EncodingError, match=rf"/m: tensor 'masks' with the data type {data_type}"):
        masks_of_tensors(message, "/m")


@pytest.mark.parametrize("dims", [(), (4,), (4, 5), (1, 3, 4, 5), (1, 1, 1, 4, 5)])
def test_other_shapes_are_refused(dims):
    message = tensors(np.zeros(int(np.prod(dims)), np.uint8), dims=dims)
    with pytest.raises(ImageLayoutError, match=r"expected masks \(N, 1, H, W\)"):
        masks_of_tensors(message, "/m")


@pytest.mark.parametrize("dims", [(1, 4, 5), (2, 4, 5), (2**32 - 1, 1, 2**32 - 1, 2**32 - 1)])
def test_data_have_to_be_as_long_as_the_shape_says(dims):
    message = tensors(np.zeros(21, np.uint8), dims=dims)
    with pytest.raises(ImageLayoutError, match="with 21 bytes"):
        masks_of_tensors(message, "/m")
