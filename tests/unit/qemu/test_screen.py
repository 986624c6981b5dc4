"""VGA text memory as text."""

from qemu.screen import COLUMNS, ROWS, TEXT_BYTES, WINDOW_BYTES, decode_text, shown_part


def test_vga_memory_is_decoded_into_rows() -> None:
    cells = bytearray(b" \x07" * (COLUMNS * ROWS))
    for row, text in ((0, b"iPXE"), (2, b"\xc9\xcdbox\0!")):
        for column, byte in enumerate(text):
            cells[2 * (row * COLUMNS + column)] = byte
    assert decode_text(bytes(cells) + b"beyond") == "iPXE\n\n\u2554\u2550box !"
    assert decode_text(bytes(4000)) == ""


def test_the_window_wraps_around() -> None:
    window = bytes(range(256)) * (WINDOW_BYTES // 256)
    assert shown_part(window, 0) == window[:TEXT_BYTES]
    assert shown_part(window, 80)[:2] == window[160:162]
    last = shown_part(window, WINDOW_BYTES // 2 - 1)
    assert len(last) == TEXT_BYTES
    assert last[:4] == window[-2:] + window[:2]
    assert shown_part(window, 0xFFFF)[:2] == window[-2:]
