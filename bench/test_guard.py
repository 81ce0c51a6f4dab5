"""python3 -m unittest discover -s bench: the guard over instruction counts fails for what it should, and for nothing else."""
import pathlib
import tempfile
import unittest

import guard

SAME = ("rustc 1", "rustc 1")


def verdict(recorded, counted, compilers=SAME):
    passes, say = guard.judge(guard.compare(recorded, counted), compilers)
    return passes, "\n".join(say)


class Guard(unittest.TestCase):
    def test_the_same_counts_pass_and_say_nothing(self):
        self.assertEqual(verdict({"parse": 1000}, {"parse": 1000}), (True, ""))

    def test_five_percent_either_way_passes(self):
        for counted in (950, 1050):
            self.assertEqual(verdict({"parse": 1000}, {"parse": counted}), (True, ""))

    def test_a_larger_rise_fails_and_says_which_how_much_and_how_to_accept(self):
        passes, say = verdict({"parse": 1000, "refused-invite": 20000}, {"parse": 1000, "refused-invite": 21100})
        self.assertFalse(passes)
        self.assertIn("refused-invite: 20,000 -> 21,100 instructions (+5.5%)", say)
        self.assertIn("bench/callgrind --accept", say)
        self.assertNotIn("parse:", say)

    def test_a_larger_fall_passes_and_asks_to_be_recorded(self):
        passes, say = verdict({"parse": 1000}, {"parse": 900})
        self.assertTrue(passes)
        self.assertIn("parse: 1,000 -> 900 instructions (-10.0%)", say)
        self.assertIn("bench/callgrind --accept", say)

    def test_a_fall_does_not_hide_a_rise(self):
        self.assertFalse(verdict({"parse": 1000, "decide": 1000}, {"parse": 100, "decide": 1100})[0])

    def test_an_operation_without_a_record_or_a_record_without_its_operation_fails(self):
        self.assertFalse(verdict({}, {"parse": 1000})[0])
        passes, say = verdict({"parse": 1000}, {})
        self.assertFalse(passes)
        self.assertIn("parse", say)

    def test_another_compiler_is_named_beside_a_difference(self):
        self.assertIn("rustc 2", verdict({"parse": 1000}, {"parse": 2000}, ("rustc 1", "rustc 2"))[1])
        self.assertEqual(verdict({"parse": 1000}, {"parse": 1000}, ("rustc 1", "rustc 2")), (True, ""))

    def test_a_record_is_read_as_it_was_written(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "instructions.toml"
            guard.write(path, {"parse": 1000, "write-403": 5}, "rustc 1", "x86_64")
            self.assertEqual(guard.read(path), ({"parse": 1000, "write-403": 5}, "rustc 1", "x86_64"))

    def test_the_record_in_the_repository_is_whole(self):
        recorded, compiler, architecture = guard.read(pathlib.Path(__file__).with_name("instructions.toml"))
        self.assertTrue(compiler and architecture)
        for operation in ("parse", "decide-allowed", "decide-refused", "write-403", "forward-edit", "refused-invite", "forwarded-call"):
            self.assertGreater(recorded[operation], 0)


if __name__ == "__main__":
    unittest.main()
