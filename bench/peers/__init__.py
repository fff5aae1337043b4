"""Other people's programs, each behind one function: mono in, mono out, same length, no delay.

None of them is part of wavemend. A peer that is not installed is named as missing in
the tables; the README of this folder says how each is had.
"""
