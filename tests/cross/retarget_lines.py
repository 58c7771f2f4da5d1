"""The lines of README.md's section Retarget that one_target_alone.py does not run: several targets, and presets."""
import subprocess

import readme_lines
import tree

alone = [f"-DHALPOOL_TARGETS={target}" for target in tree.TARGETS]
several = [option for option in readme_lines.BUILDS if option not in alone]
assert several, "README.md has no line that names several targets"
for number, option in enumerate(several):
    folder = tree.WORK / "several" / str(number)
    names = set(option.split("=", 1)[1].split(";"))
    targets = [target for target in tree.TARGETS if {target, tree.component(target), "all"} & names]
    tree.build(folder, option, f"-DHALPOOL_DTYPES={tree.FEW_KERNELS}")
    for target in targets:
        archive = tree.archives(folder, target) / f"libhalpool_{target}.a"
        assert archive.stat().st_size > (10000 if tree.has_few_kernels(target) else 0), archive
    built = {path.name for path in folder.rglob("libhalpool_*.a")}
    assert built & {f"libhalpool_{target}.a" for target in tree.TARGETS} == {f"libhalpool_{target}.a" for target in targets}, built

    # What `cmake --install` makes of several systems does not collide.
    tree.run(tree.CMAKE, "--install", folder, "--prefix", folder / "prefix", stdout=subprocess.DEVNULL)
    for target in targets:
        prefix = folder / "prefix" / tree.component(target) if tree.is_foreign(target) else folder / "prefix"
        installed = {path.parent for path in prefix.rglob(f"libhalpool_{target}.a")}
        assert any((library_folder / "libhalpool_runtime.a").exists() for library_folder in installed), target

systems = {facts["component"] for name, facts in tree.SYSTEMS.items() if name != tree.HOST}
for preset in readme_lines.PRESETS:
    folder = tree.WORK / "presets" / preset
    configured = tree.configure(folder, "--preset", preset)
    print(configured.stdout)
    configured.check_returncode()
    kernels = (folder / "kernels/kernels.cmake").read_text()
    assert f'set(HALPOOL_BUILT_COMPONENTS "{preset}")' in kernels, kernels
    systems.discard(preset)
assert not systems, f"no preset in README.md: {systems}"
