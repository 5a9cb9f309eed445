# make train    install what is needed, then train (RECIPE=..., ARGS="--seed 1 --set train.epochs=5")
# make test     install what is needed, then ruff, mypy, import-linter and pytest
# make fuzz     damaged and hostile files for every reader (ARGS="--seconds 600 --seed 3")
# `make` alone lists the rest. Works with GNU make 3.81 and later and any POSIX shell.

RECIPE = recipes/digits_maxmin_mt.yaml
ARGS =
VENV = .venv
BIN = $(VENV)/bin

# MXNet's CUDA build cannot be imported without NVIDIA's driver, so it is installed only where there is one. To choose:
# make install REQUIREMENTS=requirements.txt
NVIDIA := $(shell { test "`uname -sm`" = "Linux x86_64" && \
	{ command -v nvidia-smi || test -e /proc/driver/nvidia || ldconfig -p | grep -qF libcuda.so.1; } >/dev/null && \
	echo driver; } 2>/dev/null)
REQUIREMENTS = $(if $(NVIDIA),requirements-gpu.txt,requirements.txt)
# Both builds write the same files, so the other build is removed first.
OTHER_BUILD = $(if $(findstring gpu,$(REQUIREMENTS)),mxnet,mxnet-cu112)

# An empty file for each requirements file that is installed. make compares their dates.
INSTALLED = $(VENV)/.installed-$(REQUIREMENTS)
INSTALLED_DEV = $(VENV)/.installed-requirements-dev.txt

# The last pip for Python 3.8. The pip of old Pythons does not know the platform names of newer wheels.
PIP_VERSION = 25.0.1
PIP = $(BIN)/python -m pip --disable-pip-version-check
# Modules are compiled when they are first imported: most of what is installed never is. The variable, which images of
# containers like to set, would have every process compile MXNet, numpy and the package anew.
PIP_INSTALL = $(PIP) install -q --no-compile
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install install-dev train test fuzz kill-test results results-supervised results-skip results-paths bench \
	results-unsupervised results-consistency results-fashion results-maxmin results-ablation results-prior results-forms \
	results-adversarial results-photos photos-check deploy-check wheel-check doctor docs clean \
	types-of-package types-of-tests

help:
	@echo 'make train    train RECIPE (default $(RECIPE)), passing ARGS to tools/train.py'
	@echo 'make test     ruff, mypy, import-linter and pytest'
	@echo 'make fuzz     a minute of damaged and hostile files for every reader; ARGS="--seconds 600 --seed 3" for more'
	@echo 'make install  only make $(VENV) and install the pinned requirements (PYTHON=, REQUIREMENTS= to choose)'
	@echo 'make results  train every run of results/digits.csv and write it; likewise results-supervised, results-skip,'
	@echo '              results-paths, results-unsupervised, results-consistency, results-photos, results-maxmin,'
	@echo '              results-fashion (a night), results-ablation, results-prior, results-forms,'
	@echo '              results-adversarial'
	@echo 'make bench    run every benchmark, or those of ONLY=step,input, write results/*.json and print a table'
	@echo 'make deploy-check  serve an export from fresh environments of onnxruntime and of MXNet alone; ARGS=RUN to choose'
	@echo 'make photos-check  follow docs/own_photos.md on a few drawn photos, command by command'
	@echo 'make kill-test  kill a short run at every operation on its files, resume, compare; ARGS="--moments 20" for fewer'
	@echo 'make docs     build the documentation as a site in site/ (Python 3.11)'
	@echo 'make wheel-check  build the wheel, install it in a fresh environment, and use it in an empty folder'
	@echo 'make doctor   check the set-up; print the command that solves each problem'
	@echo 'make clean    remove $(VENV) and caches; runs/ stays'

install: $(INSTALLED)

install-dev: $(INSTALLED) $(INSTALLED_DEV)

train: install
	$(BIN)/python tools/train.py $(RECIPE) $(ARGS)

test: install-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	@$(MAKE) --no-print-directory --jobs 2 --output-sync types-of-package types-of-tests
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

# Side by side, so each keeps a cache of its own.
types-of-package:
	$(BIN)/python -m mypy --cache-dir .mypy_cache/package gluon_nrm tools benchmarks
types-of-tests:
	$(BIN)/python -m mypy --cache-dir .mypy_cache/tests --config-file tests/mypy.ini tests

# Failing cases are kept in fuzz-findings/. ARGS="--replay fuzz-findings/NAME" reads one again.
fuzz: install-dev
	$(BIN)/python tests/checks/fuzz $(ARGS)

# mkdocs.yml makes warnings errors. The variable silences an advertisement of the theme.
docs: install-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# Every run of results/digits.csv: six recipes, 50 and 100 labels, five seeds of the run and of the labelled draw. Then the
# table. Finished runs are not trained again. JOBS runs train side by side with one thread each: the digits are too small for two.
LADDER = supervised mt nrm nrm_rpn nrm_rpn_maxmin maxmin_mt
JOBS = 2
results: install
	@for labels in 50 100; do for seed in 0 1 2 3 4; do for rung in $(LADDER); do \
		echo "recipes/digits_$$rung.yaml --seed $$seed --set data.split_seed=$$seed --set data.labels=$$labels --runs runs/digits-$$labels"; \
	done; done; done | OMP_NUM_THREADS=1 xargs -L 1 -P $(JOBS) $(BIN)/python tools/train.py
	$(BIN)/python tools/table.py runs/digits-50/* runs/digits-100/* --csv results/digits.csv

# Max-Min against cross-entropy on the narrow ResNeXt with Shake-Shake and Cutout, all labels, five seeds.
results-supervised: install
	@for seed in 0 1 2 3 4; do for recipe in digits_shake_resnext_cutout digits_shake_resnext_cutout_maxmin; do \
		echo "recipes/$$recipe.yaml --seed $$seed --runs runs/supervised"; \
	done; done | OMP_NUM_THREADS=1 xargs -L 1 -P $(JOBS) $(BIN)/python tools/train.py
	$(BIN)/python tools/table.py runs/supervised/* --csv results/supervised.csv

# ResNet and DenseNet as NRMs beside the plain networks, 50 labels, three seeds of the run and of the labelled draw.
results-skip: install
	@for seed in 0 1 2; do for net in resnet densenet; do for rung in "" _nrm_rpn_maxmin; do \
		echo "recipes/digits_$$net$$rung.yaml --seed $$seed --set data.split_seed=$$seed --runs runs/skip"; \
	done; done; done | OMP_NUM_THREADS=1 xargs -L 1 -P $(JOBS) $(BIN)/python tools/train.py
	$(BIN)/python tools/table.py runs/skip/* --csv results/skip_connections.csv

# RPN by the prior's mode beside layerwise and none, without rendering norms; rendering paths with and without RPN.
results-paths: install
	@for seed in 0 1 2 3 4; do \
		echo "recipes/digits_nrm_rpn_mode.yaml --seed $$seed --set data.split_seed=$$seed --runs runs/path-norm"; \
		for rung in nrm nrm_rpn; do \
			echo "recipes/digits_$$rung.yaml --seed $$seed --set data.split_seed=$$seed --set model.render_norm=none --runs runs/path-norm"; \
			echo "recipes/digits_$$rung.yaml --seed $$seed --set data.split_seed=$$seed --set data.labels=50 --runs runs/digits-50"; \
	done; done | OMP_NUM_THREADS=1 xargs -L 1 -P $(JOBS) $(BIN)/python tools/train.py
	$(BIN)/python tools/table.py runs/path-norm/* --csv results/path_norm.csv
	$(BIN)/python tools/paths.py runs/digits-50/digits_nrm-s* runs/digits-50/digits_nrm_rpn-s* --csv results/paths.csv --plot results/paths.png

# Every method of Table 3 on Fashion-MNIST: 500, 1,000 and all labels, three seeds of the run and of the labelled draw. A night on
# two cores; what was stopped goes on where it was, what is finished is left alone.
results-fashion: install
	OMP_NUM_THREADS=1 $(BIN)/python tools/table.py table3 --data fashion_mnist --seeds 0 1 2 --train --jobs $(JOBS) --paired --out results
	$(BIN)/python -m gluon_nrm.report.index recipes/README.md

# Max-Min against cross-entropy on Fashion-MNIST, all labels: the same steps, then cross-entropy with twice the steps, which is the
# same time. Three seeds. NETWORKS=cnn for the smaller network alone.
NETWORKS = cnn shake_resnext
results-maxmin: install
	@for network in $(NETWORKS); do for seed in 0 1 2; do base=fashion_mnist_$${network}_cutout; \
		for recipe in $$base $${base}_maxmin; do echo "recipes/$$recipe.yaml --seed $$seed --runs runs/maxmin"; done; \
		echo "recipes/$$base.yaml --seed $$seed --set train.epochs=20 --set name=$${base}_twice --runs runs/maxmin"; \
	done; done | OMP_NUM_THREADS=1 xargs -L 1 -P $(JOBS) $(BIN)/python tools/train.py
	$(BIN)/python tools/table.py runs/maxmin/* --csv results/maxmin_fashion_mnist.csv

# The terms of NRM + RPN, each alone and each left out, three seeds of the run and of the labelled draw; DATA=digits for those alone.
DATA = digits fashion_mnist
TERMS = reconstruction entropy moment_matching path_norm
results-ablation: install
	@for data in $(DATA); do for seed in 0 1 2; do \
		run="--seed $$seed --set data.split_seed=$$seed --runs runs/ablation"; base=$${data}_nrm_rpn; \
		for recipe in $$base $${data}_supervised $${data}_nrm_equation12; do echo "recipes/$$recipe.yaml $$run"; done; \
		for term in $(TERMS); do \
			echo "recipes/$$base.yaml $$run --set loss.weights.$$term=0 --set name=$${base}_without_$$term"; \
			only=""; for other in $(TERMS); do [ $$other = $$term ] || only="$$only --set loss.weights.$$other=0"; done; \
			echo "recipes/$$base.yaml $$run $$only --set name=$${data}_$${term}_alone"; \
		done; \
	done; done | OMP_NUM_THREADS=1 xargs -L 1 -P $(JOBS) $(BIN)/python tools/train.py
	$(BIN)/python tools/table.py runs/ablation/* --csv results/ablation.csv

# Learning without labels, with and without the balance term, three seeds.
results-unsupervised: install
	@for seed in 0 1 2; do for recipe in digits_unsupervised digits_unsupervised_balanced; do \
		echo "recipes/$$recipe.yaml --seed $$seed --runs runs/unsupervised"; \
	done; done | OMP_NUM_THREADS=1 xargs -L 1 -P $(JOBS) $(BIN)/python tools/train.py
	$(BIN)/python tools/table.py runs/unsupervised/* --csv results/unsupervised.csv

# Theorem 4.1: distance of the learned from the true class posterior of a small known NRM, against the number of images.
results-consistency: install
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python benchmarks/theory/consistency.py $(ARGS)

# The forms of path normalisation: test error, -log pi of images' paths, share of draws from the prior that a classifier recognises.
results-prior: install
	@{ echo "recipes/digits_supervised.yaml --seed 100 --set data.labels=null --set name=digits_judge --runs runs/prior"; \
	for seed in 0 1 2 3 4; do for labels in 50 100; do for form in nrm nrm_rpn nrm_rpn_mode nrm_rpn_sampled; do \
		echo "recipes/digits_$$form.yaml --seed $$seed --set data.split_seed=$$seed --set data.labels=$$labels" \
			"--set model.render_norm=none --runs runs/prior/labels-$$labels"; \
	done; done; done; } | OMP_NUM_THREADS=1 xargs -L 1 -P $(JOBS) $(BIN)/python tools/train.py
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python benchmarks/prior/compare_forms.py $(ARGS)
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python benchmarks/prior/substitute_priors.py runs/prior/labels-50/digits_nrm-s* \
		--judge runs/prior/digits_judge-s100 --csv results/prior_substitutes.csv --picture results/prior_substitutes.png

# The value of every form against -log pi(z*|y): on models that are enumerated, and on the first runs of results-prior.
results-forms: install
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python benchmarks/prior/forms_against_exact.py $(ARGS)

# The last rows of Table 3 on the digits, 50 and 100 labels, three seeds of the run and of the labelled draw; NRM + RPN with and
# without a discriminator, 50 labels, five seeds; what a classifier says of the images that they generate.
ADVERSARIAL = ladder improved_gan ali tangents
results-adversarial: install
	@{ echo "recipes/digits_supervised.yaml --seed 100 --set data.labels=null --set name=digits_judge --runs runs/prior"; \
	for seed in 0 1 2; do for labels in 50 100; do for row in $(ADVERSARIAL); do \
		echo "recipes/digits_$$row.yaml --seed $$seed --set data.split_seed=$$seed --set data.labels=$$labels --runs runs/digits-$$labels"; \
	done; done; done; \
	for seed in 0 1 2 3 4; do for row in nrm_rpn nrm_rpn_adversarial; do \
		echo "recipes/digits_$$row.yaml --seed $$seed --set data.split_seed=$$seed --set data.labels=50 --runs runs/digits-50"; \
	done; done; } | OMP_NUM_THREADS=1 xargs -L 1 -P $(JOBS) $(BIN)/python tools/train.py
	$(BIN)/python tools/table.py $(foreach row,$(ADVERSARIAL),runs/digits-50/digits_$(row)-s? runs/digits-100/digits_$(row)-s?) \
		runs/digits-50/digits_nrm_rpn-s? runs/digits-50/digits_nrm_rpn_adversarial-s? --csv results/digits_adversarial.csv
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python benchmarks/adversarial/compare.py $(ARGS)

# recipes/photos.yaml beside its supervised twin and an SVM, on photos drawn anew for each of five seeds; finished runs are
# left alone, and results/photos.csv gets a line when a seed is done.
results-photos: install
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python benchmarks/photos/compare.py $(ARGS)

# Writes results/NAME.json for each benchmark, or for those of ONLY=step,input. ARGS="--repeats 2 --out elsewhere" tries it
# out. PEER_PYTHON names a Python that has PyTorch, for the rows that compare with it.
bench: install
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(PEER_PYTHON),--peer-python $(PEER_PYTHON)) $(ARGS)

# Trains the digits for three epochs unless ARGS names a run on them.
deploy-check: install-dev
	$(BIN)/python tests/checks/fresh_environment.py $(ARGS)

# The commands of docs/own_photos.md, small. ARGS=OTHER/bin/gluon-nrm follows the page in another environment.
photos-check: install-dev
	$(BIN)/python tests/checks/own_photos.py $(ARGS)

# About 180 kills; ten minutes on an idle machine.
kill-test: install-dev
	$(BIN)/python tests/checks/kills.py $(ARGS)

# Downloads the pinned packages again. `make test` has a quicker form, which borrows those of $(VENV).
wheel-check: install-dev
	$(BIN)/python tests/checks/wheel_check.py $(ARGS)

# Does not install anything first, because it explains why that failed.
doctor:
	@$(or $(wildcard $(BIN)/python),python3) tools/doctor.py $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Prints the version; succeeds where it is one that MXNet runs on and can make a virtual environment.
define SUITABLE
import sys; print(sys.version.split()[0]); import ensurepip, venv; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 11))
endef

$(BIN)/python:
	@if test -e $(VENV); then echo "error: $(VENV) is there without a Python of its own: run make clean, or move it away" >&2; exit 2; fi; \
	found=; \
	for name in $(PYTHON) python3.11 python3.10 python3.9 python3.8 python3 python; do \
		if version=$$("$$name" -c '$(SUITABLE)' 2>/dev/null); then \
			echo "making $(VENV) with $$name ($$version)"; \
			"$$name" -m venv $(VENV) && exit 0; \
			rm -rf $(VENV); found="$$found $$name $$version (its venv module failed),"; \
		elif test -n "$$version"; then found="$$found $$name $$version,"; \
		fi; \
	done; \
	echo "error: MXNet 1.9.1 needs Python 3.8 to 3.11 with the venv module; found:$${found:- no Python at all,}" \
		"none of them will do. Install one (Debian, Ubuntu: apt install python3.11-venv) or name it: make install PYTHON=/path/to/python3.11" >&2; \
	exit 2

# The package is installed in place, for the command gluon-nrm; its own requirements are those of the file.
$(INSTALLED): $(REQUIREMENTS) requirements-common.txt setup.py | $(BIN)/python
	@$(BIN)/python -c '$(SUITABLE)' >/dev/null || { echo "error: $(VENV) holds a Python that is not 3.8 to 3.11: run make clean, or move it away" >&2; exit 2; }
	@echo 'installing $(REQUIREMENTS)'
	@$(PIP_INSTALL) pip==$(PIP_VERSION)
	@$(PIP) uninstall -q -y $(OTHER_BUILD) 2>/dev/null || true
	@$(PIP_INSTALL) -r $(REQUIREMENTS)
	@$(PIP_INSTALL) --no-deps -e .
	@rm -f $(VENV)/.installed-requirements.txt $(VENV)/.installed-requirements-gpu.txt
	@touch $@

$(INSTALLED_DEV): $(INSTALLED) requirements-dev.txt
	@echo 'installing requirements-dev.txt'
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@
