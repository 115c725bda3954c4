"""Which pictures of an H.264 transport stream are damaged: those that refer to a picture that was lost, and those
that FFmpeg cannot decode without a word.

It knows nothing of networks. The hard thing: a decoder conceals what is missing, so a lost picture has to be seen
in the numbers (frame_num, ITU-T H.264, 7.4.3) that the pictures carry themselves.
"""

import re
import subprocess
import tempfile

PACKET = 188
VIDEO_TYPE = 0x1B

# Chroma formats and more in the SPS (7.3.2.1.1).
HIGH_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128}


class Bits:
    """Exp-Golomb codes of a NAL unit's first bytes, emulation prevention taken out (7.3.1, 9.1)."""

    def __init__(self, nal):
        data = nal[:96].replace(b"\0\0\3", b"\0\0")
        self.bits, self.left = int.from_bytes(data, "big"), len(data) * 8

    def u(self, count):
        self.left -= count
        if self.left < 0:
            raise ValueError("a NAL unit is cut short")
        return self.bits >> self.left & (1 << count) - 1

    def ue(self):
        zeros = 0
        while self.u(1) == 0:
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)


def frame_num_bits(sps):
    """log2_max_frame_num of an SPS, or None where scaling matrices stand before it."""
    bits = Bits(sps[1:])
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    if profile in HIGH_PROFILES:
        if bits.ue() == 3:
            bits.u(1)
        bits.ue(), bits.ue(), bits.u(1)
        if bits.u(1):
            return None
    return bits.ue() + 4


def frame_num(slice_nal, count):
    bits = Bits(slice_nal[1:])
    bits.ue(), bits.ue(), bits.ue()
    return bits.u(count)


class Unit:
    """A picture as it came: its bytes, its time, and where it stands in the stream."""

    def __init__(self, packet, seconds, data):
        self.packet, self.seconds, self.data = packet, seconds, data
        self.nals = [nal for nal in re.split(rb"\x00\x00\x00?\x01", data) if nal]
        self.slices = [nal for nal in self.nals if nal[0] & 0x1F in (1, 5)]
        self.key = any(nal[0] & 0x1F == 5 for nal in self.slices)


def units(path, seconds_of):
    """Every unit of the stream's video."""
    pid, tables, packet, begun, found = None, set(), 0, None, []
    parts = []

    def finish():
        if begun is not None and parts:
            pes = b"".join(parts)
            found.append(Unit(begun, seconds_of(pes), pes[9 + pes[8]:]))
        parts.clear()

    with open(path, "rb") as stream:
        while len(data := stream.read(PACKET)) == PACKET:
            this, start = (data[1] & 0x1F) << 8 | data[2], data[1] & 0x40
            at = 5 + data[4] if data[3] & 0x20 else 4
            if this == 0 and start:
                tables.add((data[at + 11] & 0x1F) << 8 | data[at + 12])
            elif this in tables and start and pid is None:
                section = data[at + 1 + data[at]:]
                entry = 12 + ((section[10] & 0x0F) << 8 | section[11])
                while entry + 5 <= 3 + ((section[1] & 0x0F) << 8 | section[2]) - 4:
                    if section[entry] == VIDEO_TYPE:
                        pid = (section[entry + 1] & 0x1F) << 8 | section[entry + 2]
                    entry += 5 + ((section[entry + 3] & 0x0F) << 8 | section[entry + 4])
            elif this == pid:
                if start:
                    finish()
                    begun = packet
                if data[3] & 0x10:
                    parts.append(data[at:])
            packet += 1
    # The last one may not have come whole.
    return found


def groups(all_units):
    """The units from each key frame up to the next."""
    found = []
    for unit in all_units:
        if unit.key:
            found.append([])
        if found:
            found[-1].append(unit)
    return found


def without_reference(group):
    """The pictures of a group that follow a lost one, by their numbers; the first stands for all behind it."""
    sps = next((nal for nal in group[0].nals if nal[0] & 0x1F == 7), None)
    count = frame_num_bits(sps) if sps else None
    if count is None:
        return []
    expected = 0
    for unit in group:
        if not unit.slices:
            continue
        number, used = frame_num(unit.slices[0], count), unit.slices[0][0] & 0x60
        if not unit.key and number not in (expected, (expected + 1) % (1 << count)):
            return group[group.index(unit):]
        if used and not unit.key and number == expected:
            return group[group.index(unit):]
        if used:
            expected = number
    return []


def complaints(group):
    """What FFmpeg says of a group, decoded by itself."""
    with tempfile.NamedTemporaryFile(suffix=".h264") as file:
        file.write(b"".join(unit.data for unit in group))
        file.flush()
        done = subprocess.run(
            ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-err_detect", "explode", "-threads", "1", "-i",
             file.name, "-autoscale", "0", "-fps_mode", "passthrough", "-f", "null", "-"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120, check=False)
    return [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
