from keysat.web.html import static_folder


def test_the_static_files_are_found() -> None:
    assert static_folder().is_dir()
