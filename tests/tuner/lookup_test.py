import json
import pathlib
import tempfile
import unittest

import common
from common import device_identity, kernel_manifest

EPYC = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9354; 32-Core\n"
XEON = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Platinum 8480C\n"
NEOVERSE = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd40\n"
FACTS = {"x86-64-avx2": {}, "arm-64-neon": {}}


class AMachine(unittest.TestCase):
    def test_is_what_the_system_says(self):
        self.assertEqual(device_identity.of_cpuinfo(EPYC), {"device": "AMD EPYC 9354  32-Core", "architecture": "25/17", "vendor": "AuthenticAMD"})
        self.assertEqual(device_identity.of_cpuinfo(NEOVERSE), {"device": "8/0xd40", "architecture": "8/0xd40", "vendor": "0x41"})
        self.assertEqual(device_identity.of_cpuinfo(""), {})

    def test_can_be_named(self):
        identity = device_identity.of_cpuinfo(EPYC)
        self.assertEqual(device_identity.of_text(",".join(f"{key}={value}" for key, value in identity.items())), identity)
        for wrong in ("AMD", "device=", "cpu=AMD", "vendor=AMD,family"):
            with self.assertRaises(ValueError, msg=wrong):
                device_identity.of_text(wrong)

    def test_is_near_another_by_device_architecture_and_vendor(self):
        epyc = device_identity.of_cpuinfo(EPYC)
        self.assertEqual(device_identity.distance(epyc, epyc), 0)
        self.assertEqual(device_identity.distance({**epyc, "device": "AMD EPYC 9654"}, epyc), 1.5)
        self.assertEqual(device_identity.distance({"vendor": "AuthenticAMD"}, epyc), 2)
        self.assertEqual(device_identity.distance({"vendor": "GenuineIntel", "architecture": "25/17"}, epyc), 3.5)
        self.assertEqual(device_identity.distance({}, epyc), 3)
        self.assertEqual(device_identity.distance(epyc, {}), 3.5)


class UsableTargets(unittest.TestCase):
    def of(self, machine, line):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "cpuinfo"
            path.write_text(f"processor\t: 0\n{line}\n", encoding="utf-8")
            return common.usable_targets(machine, path)

    def test_have_every_feature_that_they_need(self):
        self.assertEqual(self.of("x86_64", "flags\t\t: sse4_1 avx avx2 fma"), ["x86-64-sse41"])
        self.assertEqual(self.of("x86_64", "flags\t\t: sse4_1 avx avx2 fma f16c"), ["x86-64-avx2", "x86-64-sse41"])
        self.assertEqual(self.of("x86_64", "flags\t\t: fpu"), [])
        self.assertEqual(self.of("aarch64", "Features\t: fp asimd"), ["arm-64-neon"])

    def test_are_all_of_a_machine_that_names_no_features(self):
        self.assertEqual(self.of("riscv64", "isa\t\t: rv64imafdcv"), ["riscv-64-rvv"])


class Lookup(unittest.TestCase):
    def tuned(self, machine, *documents):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder) / f"{i}.json" for i in range(len(documents))]
            for path, document in zip(paths, documents):
                path.write_text(json.dumps(document, indent=1))
            tuned = kernel_manifest.read_tuned(list(map(str, paths)), FACTS, machine)
            return {target: ({family: pathlib.Path(path).name for family, path in where.items()}, schedules)
                    for target, (where, schedules) in tuned.items()}

    def test_takes_of_each_kernel_the_schedule_of_the_nearest_machine(self):
        epyc, xeon = device_identity.of_cpuinfo(EPYC), device_identity.of_cpuinfo(XEON)
        files = [{"target": "x86-64-avx2", "tuned_on": epyc, "kernels": {"a": {"vector": 1}}},
                 {"target": "x86-64-avx2", "tuned_on": {"vendor": "AuthenticAMD"}, "kernels": {"a": {"vector": 2}, "b": {"vector": 2}}},
                 {"target": "x86-64-avx2", "kernels": {"a": {"vector": 4}, "b": {"vector": 4}, "c": {"vector": 4}}},
                 {"target": "arm-64-neon", "kernels": {"a": {"vector": 8}}}]
        for order in (files, files[::-1]):
            where, schedules = self.tuned(epyc, *order)["x86-64-avx2"]
            self.assertEqual({family: schedule["vector"] for family, schedule in schedules.items()}, {"a": 1, "b": 2, "c": 4})
            self.assertEqual(where["a"], f"{order.index(files[0])}.json")
            self.assertEqual(self.tuned(epyc, *order)["arm-64-neon"][1], {"a": {"vector": 8}})
        older = {**epyc, "device": "AMD EPYC 7763", "architecture": "25/1"}
        self.assertEqual(self.tuned(older, *files)["x86-64-avx2"][1]["a"], {"vector": 2})
        # One file alone is taken, wherever it was tuned.
        self.assertEqual(self.tuned(xeon, files[0])["x86-64-avx2"][1], {"a": {"vector": 1}})

    def test_refuses_two_that_are_equally_near(self):
        one = {"target": "x86-64-avx2", "kernels": {"a": {"vector": 1}}}
        with self.assertRaisesRegex(kernel_manifest.BadInput, r"merge the files \(halpool-tune merge\)"):
            self.tuned({}, one, one)
        epyc = device_identity.of_cpuinfo(EPYC)
        other = {**one, "tuned_on": device_identity.of_cpuinfo(XEON)}
        with self.assertRaisesRegex(kernel_manifest.BadInput, "merge the files"):
            self.tuned(epyc, other, other)
        self.assertEqual(self.tuned(epyc, one, other)["x86-64-avx2"][0], {"a": "0.json"})
        for wrong in ("AMD", {"cpu": "AMD"}, {"device": 3}, None):
            with self.assertRaisesRegex(kernel_manifest.BadInput, "0.json:3: tuned_on holds texts for device, architecture, vendor"):
                self.tuned(epyc, {"target": "x86-64-avx2", "tuned_on": wrong, "kernels": {}})


if __name__ == "__main__":
    unittest.main()
