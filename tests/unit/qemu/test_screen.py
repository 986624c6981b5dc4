"""VGA text memory as text."""

from qemu.screen import COLUMNS, ROWS, decode_text


def test_vga_memory_is_decoded_into_rows() -> None:
    cells = bytearray(b" \x07" * (COLUMNS * ROWS))
    for row, text in ((0, b"iPXE"), (2, b"\xc9\xcdbox\0!")):
        for column, byte in enumerate(text):
            cells[2 * (row * COLUMNS + column)] = byte
    assert decode_text(bytes(cells) + b"beyond") == "iPXE\n\n\u2554\u2550box !"
    assert decode_text(bytes(4000)) == ""
