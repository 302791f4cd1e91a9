# The targets that people and CI share. `make run` and `make build` need only Go.

PORT    ?= 7000
DATA    ?= data
FUZZ    ?= 20s
E2E     = $(shell go list ./... | grep -E '/node/e2e/|/scripts/cluster$$')
# What these count is part of what they prove: it is printed.
PROOFS  = ./gossip/sim ./node/command ./node/persist
UNIT    = $(shell go list ./... | grep -vE '/node/e2e/|/scripts/cluster$$|/gossip/sim$$|/node/command$$|/node/persist$$')

.PHONY: run build test test-long race lint fuzz bench profile failover tools clean

run:
	@go build -o bin/ ./cmd/... ./scripts/cluster
	@exec bin/cluster -server bin/slotmesh -dir $(DATA) -port $(PORT)

build:
	go build -o bin/ ./cmd/...

# Nothing is taken from the cache of test results: it does not know of the binaries
# that tests build and start.
test: tools
	go test -count=1 -timeout 10m $(UNIT)
	go test -count=1 -v -timeout 30m $(PROOFS)
	go test -count=1 -v -p 1 -timeout 20m $(E2E)

test-long: tools
	SLOTMESH_LONG=1 SIM_SEEDS=20000 go test -count=1 -v -p 1 -timeout 180m ./...

race: tools
	go test -race -short -timeout 20m $(UNIT) $(PROOFS)

lint:
	@out="$$(go tool gofumpt -l .)"; test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go test ./scripts/arch

fuzz:
	scripts/fuzz $(FUZZ)

bench: tools
	go run ./scripts/bench

# The compiler takes what it needs to know of the hot path from this file.
profile:
	go test -run '^$$' -bench Pipeline -benchtime 3000000x -o bin/pipeline.test -cpuprofile cmd/slotmesh/default.pgo ./node/server

failover: tools
	go run ./scripts/failover

tools:
	@scripts/tools

clean:
	rm -rf bin .cache
