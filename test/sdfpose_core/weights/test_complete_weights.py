from pathlib import Path

from sdfpose_core.weights import SHIPPED, complete_weights


def test_what_a_folder_lacks_is_copied_and_what_it_has_stays(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "new" / "weights"
    source.mkdir()
    for name in ("can.decoder.safetensors", "can.encoder.safetensors", "confidence.json", "x.md"):
        (source / name).write_text(f"source {name}")
    folder.mkdir(parents=True)
    (folder / "can.encoder.safetensors").write_text("own")
    complete_weights(folder, source)
    assert {x.name: x.read_text() for x in folder.iterdir()} == {
        "can.decoder.safetensors": "source can.decoder.safetensors",
        "can.encoder.safetensors": "own",
        "confidence.json": "source confidence.json",
    }


def test_the_shipped_weights_complete_an_empty_folder(tmp_path: Path) -> None:
    complete_weights(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (SHIPPED / path.name).read_bytes()
    assert len(list(tmp_path.glob("*.safetensors"))) == 15
