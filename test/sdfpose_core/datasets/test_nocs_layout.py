from sdfpose_core.datasets.nocs_layout import NOCS_PARTS, missing_parts, part_sizes


def make(root, *files):
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_an_empty_folder_lacks_everything(tmp_path):
    assert missing_parts(tmp_path) == list(NOCS_PARTS)
    assert missing_parts(tmp_path / "none") == list(NOCS_PARTS)
    assert part_sizes(tmp_path) == {}


def test_empty_folders_are_missing(tmp_path):
    (tmp_path / "Real" / "train").mkdir(parents=True)
    assert "Real/train" in {x.folder for x in missing_parts(tmp_path)}


def test_what_is_there_is_counted(tmp_path):
    make(
        tmp_path,
        "Real/train/scene_1/0000_color.png",
        "Real/train/scene_1/0000_depth.png",
        "Real/train/scene_2/0003_meta.txt",
        "obj_models/real_train/mug_one_norm.obj",
        "obj_models/real_train/mug_one_norm.txt",
    )
    assert part_sizes(tmp_path) == {"Real/train": 2, "obj_models/real_train": 2}
    missing = {x.folder: x for x in missing_parts(tmp_path)}
    assert "Real/train" not in missing
    assert "camera_train.zip" in missing["CAMERA/train"].source
    assert not missing["CAMERA/train"].optional
    assert missing["results/mrcnn_results"].optional
