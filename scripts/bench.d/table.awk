# Makes one table of the benchmarks of otrpipe and libotr: lines in the form of
# Go's benchmarks, libotr's with "Libotr" in their names.

/^Benchmark/ {
	name = $1
	sub(/^Benchmark/, "", name)
	sub(/-[0-9]+$/, "", name) # how many processors
	column = sub(/^Libotr/, "", name) ? "libotr" : "otrpipe"
	for (i = 3; i < NF; i++)
		if ($(i + 1) == "ns/op")
			ns[column, name] = $i
		else if ($(i + 1) == "MB/s")
			mb[column, name] = $i
}

END {
	printf "| %-40s | %12s | %12s | %14s |\n", "", "otrpipe", "libotr", "times as fast"
	print "|------------------------------------------|-------------:|-------------:|---------------:|"
	row("key exchange, both ends", "AKE", "ms")
	row("64 B, send", "Send/64", "/s")
	row("64 B, receive", "Receive/64", "/s")
	row("64 B, send and receive", "SendReceive/64", "/s")
	split("1024 16384 65536", sizes, " ")
	for (s = 1; s in sizes; s++) {
		row(sizes[s] / 1024 " KiB, send", "Send/" sizes[s], "MB/s")
		row(sizes[s] / 1024 " KiB, receive", "Receive/" sizes[s], "MB/s")
		row(sizes[s] / 1024 " KiB, send and receive", "SendReceive/" sizes[s], "MB/s")
	}
	row("ping-pong, messages", "PingPong", "/s")
	row("1 GiB through a pipe, two processes", "Pipe", "MB/s")
	if (("otrpipe", "HalvesOverFIFO") in mb)
		printf "\nAn end in two halves has %.2f of the throughput of connect over the same pipes (%.0f and %.0f MB/s).\n",
			mb["otrpipe", "HalvesOverFIFO"] / mb["otrpipe", "ConnectOverFIFO"], mb["otrpipe", "HalvesOverFIFO"], mb["otrpipe", "ConnectOverFIFO"]
}

# row prints a figure that either side has, and how they compare. What is given
# in time is better when it is less; the ratio is always otrpipe's advantage.
function row(title, name, unit,    ours, theirs, ratio) {
	if (!(("otrpipe", name) in ns) && !(("libotr", name) in ns))
		return
	ratio = "-"
	if ((("otrpipe", name) in ns) && (("libotr", name) in ns))
		ratio = sprintf("%.2f", ns["libotr", name] / ns["otrpipe", name])
	ours = figure("otrpipe", name, unit)
	theirs = figure("libotr", name, unit)
	printf "| %-40s | %12s | %12s | %14s |\n", title, ours, theirs, ratio
}

function figure(column, name, unit) {
	if (!((column, name) in ns))
		return "-"
	if (unit == "ms")
		return sprintf("%.2f ms", ns[column, name] / 1e6)
	if (unit == "/s")
		return sprintf("%.0f /s", 1e9 / ns[column, name])
	return sprintf("%.0f MB/s", mb[column, name])
}
