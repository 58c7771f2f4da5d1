#!/usr/bin/env python3
"""Which stores cmake/stream_stores.py makes streaming, and which kernels it refuses."""
import unittest

import stream_stores


def rewrite(*lines, width=32):
    return stream_stores.rewrite("\n".join(lines) + "\n", width).splitlines()


class StreamStores(unittest.TestCase):
    def test_stores_of_whole_vectors_become_streaming(self):
        self.assertEqual(rewrite("\tvmovups\t%ymm3, -64(%r10,%r15,4)"), ["\tvmovntps\t%ymm3, -64(%r10,%r15,4)"])
        self.assertEqual(rewrite("\tvmovapd\t%ymm3, (%rbp,%rax)"), ["\tvmovntps\t%ymm3, (%rbp,%rax)"])
        self.assertEqual(rewrite("\tvmovups\t%zmm18, (%rax)  # a remark", width=64), ["\tvmovntps\t%zmm18, (%rax)  # a remark"])
        self.assertEqual(rewrite("\tmovups\t%xmm0, (%rax)", width=16), ["\tmovntps\t%xmm0, (%rax)"])

    def test_the_rest_stays(self):
        store = "\tvmovups\t%ymm3, (%rax)"
        for other in ("\tvmovups\t(%rax), %ymm3", "\tvmovaps\t%ymm1, %ymm3", "\tvmovups\t%ymm3, 32(%rsp)", "\tvmovups\t%xmm3, (%rax)",
                      "\tvmovss\t%xmm3, (%rax)", "\tvmovups\t%ymm3, (%rsp,%rcx,4)", "\tvmaskmovps\t%ymm3, %ymm1, (%rax)"):
            self.assertEqual(rewrite(store, other), ["\tvmovntps\t%ymm3, (%rax)", other])

    def test_a_frame_pointer_is_the_stack_too(self):
        kept = "\tvmovups\t%ymm3, -96(%rbp)"
        self.assertEqual(rewrite("\tmovq\t%rsp, %rbp", kept, "\tvmovups\t%ymm3, (%rax)")[1], kept)

    def test_what_cannot_be_streamed_is_refused(self):
        store = "\tvmovups\t%ymm3, (%rax)"
        for refused in (["\tvmovups\t%zmm3, (%rax)", store], ["\tvmovups\t%ymm3, (%rax) {%k1}", store], ["\tvmovups\t%xmm3, (%rax)"], ["\tretq"]):
            with self.assertRaises(ValueError):
                rewrite(*refused)


if __name__ == "__main__":
    unittest.main()
