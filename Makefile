# make demo   install what is needed and start the app on http://127.0.0.1:7860
# make test   install what is needed and run every test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LESSONS := tests/test_app_teach.py
.DEFAULT_GOAL := demo
.PHONY: demo test browser

demo: $(VENV)/app
	$(BIN)/python app.py $(ARGS)

# Side by side, but those in a browser after all others, two at a time, as they wait for speech most of
# the time, and those that teach a model one by one; threads of torch that wait do so asleep, as others
# want the cores. Files are taken in the order of tests/conftest.py: xdist would begin with those that
# hold the most tests, and end with one that takes minutes. Each part runs though another failed.
test: $(VENV)/tests browser
ifeq ($(ARGS),)
	@failed=0; set -x; \
	GOMP_SPINCOUNT=0 $(BIN)/python -m pytest -m "not browser" --numprocesses logical --maxprocesses 4 \
		--dist loadfile --no-loadscope-reorder || failed=1; \
	GOMP_SPINCOUNT=0 $(BIN)/python -m pytest -m browser --ignore $(LESSONS) --numprocesses 2 --dist loadfile \
		|| failed=1; \
	$(BIN)/python -m pytest $(LESSONS) || failed=1; \
	exit $$failed
else
	$(BIN)/python -m pytest $(ARGS)
endif

$(VENV)/app: requirements.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed.")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

$(VENV)/tests: $(VENV)/app tests/requirements.txt
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --requirement tests/requirements.txt
	touch $@

# The browser and the voices that tests use, where Debian's packages can be installed; elsewhere
# the tests that need them are skipped and say so.
browser:
	@missing=$$(grep -v '^#' tests/packages.txt | while read name; do \
		dpkg-query --show --showformat '$${Status}' "$$name" 2>/dev/null | grep -q 'ok installed' || echo "$$name"; \
	done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing" $$missing; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	else \
		echo "Not installed, so some tests are skipped:" $$missing; \
	fi
