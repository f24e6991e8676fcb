# make help lists the targets. Set-up is done once, and again when its inputs change.

VENV := .venv
OLDEST := .venv-oldest
BIN := $(VENV)/bin
CATEGORIES := bottle bowl camera can laptop mug
WEIGHTS := sdfpose_core/weights

# The environment brings its own ROS 2: a sourced installation must not shine through, nor the
# library path that the ROS 2 wheels of another environment set for their children.
unexport PYTHONPATH PYTHONHOME _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifneq ($(AMENT_PREFIX_PATH)$(_ROS_WHEELS_BOOTSTRAP_COMPLETE),)
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH RMW_IMPLEMENTATION
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint weights test-oldest lock clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## make the environment .venv
	@bash packaging/setup_environment.sh $(VENV) packaging/requirements.txt

demo: setup ## the main job over a ROS 2 graph with a simulated camera; results in out/demo
	@$(BIN)/sdfpose demo $(ARGS)

test: lint ## checks and tests (ARGS="-k refine" picks some)
	@$(BIN)/python -m pytest $(ARGS)

lint: setup ## style and types
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary

weights: setup ## train the shipped weights anew, from scratch (hours); resumes in build/training
	@for category in $(CATEGORIES); do \
		$(BIN)/python training/train_decoder.py $$category --out $(WEIGHTS) \
			--work build/training && \
		$(BIN)/python training/pretrain.py $$category --weights $(WEIGHTS) \
			--work build/training || exit 1; \
	done
	@$(BIN)/python training/calibrate_confidence.py --weights $(WEIGHTS)
	@mkdir -p build/training/mild/weights
	@cp $(WEIGHTS)/*.decoder.safetensors build/training/mild/weights
	@for category in $(CATEGORIES); do \
		$(BIN)/python training/pretrain.py $$category --weights build/training/mild/weights \
			--work build/training/mild --config config/training/encoder_mild.yaml || exit 1; \
	done
	@cp build/training/mild/weights/*.encoder.safetensors $(WEIGHTS)/mild

test-oldest: ## the tests with the oldest supported versions, in .venv-oldest
	@bash packaging/setup_environment.sh $(OLDEST) packaging/requirements-oldest.txt
	@$(OLDEST)/bin/python -m pytest $(ARGS)

lock: ## resolve the pins of both environments anew
	@bash packaging/lock.sh

clean: ## remove the environments, builds and results
	@rm -rf $(VENV) $(OLDEST) build dist install log out *.egg-info packaging/tf2_msgs/*.egg-info \
		packaging/tf2_msgs/build .hypothesis .mypy_cache .pytest_cache .ruff_cache
