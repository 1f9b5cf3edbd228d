# What a change has to pass.
check:
    bash .ci/run

# The whole system on this machine.
demo:
    cargo run --release -- demo

# Tests, by cargo-nextest where it is installed.
test:
    cargo nextest run --workspace

# Seeds of the simulated farm: just seeds 0 100000
seeds first="0" count="1000":
    cargo run --release -p sim -- {{first}} {{count}}

# What multicast costs in a simulated farm: just farm 1000
farm nodes="1000":
    cargo run --release -p sim -- farm {{nodes}}

# The same, compared with what it was: just farm-check 1000
farm-check nodes="1000":
    cargo run --release -p sim -- farm {{nodes}} --check sim/farm-{{nodes}}.txt

# The pages of docs/ as a book in target/book, by mdBook.
book:
    mdbook build docs
