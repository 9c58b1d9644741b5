"""What pyproject.toml can't say: the sets that ship, in data/, are a package of the wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["foldernet*"]), "foldernet.data"],
    package_dir={"foldernet.data": "data"},
    package_data={
        "foldernet.data": ["*.zip"],
        "foldernet.analysis": ["templates/*"],
        "foldernet.export": ["templates/*"],
        "foldernet.serving": ["*.json", "page/*"],
    },
)
