# Makes one table of the benchmarks of otrpipe and libotr: lines in the form of
# Go's benchmarks, libotr's with "Libotr" in their names, those of otrpipe's
# version 4 with "V4". Of several lines about the same figure the best counts.

/^Benchmark/ {
	name = $1
	sub(/^Benchmark/, "", name)
	sub(/-[0-9]+$/, "", name) # how many processors
	column = sub(/^Libotr/, "", name) ? "libotr" : sub(/^V4/, "", name) ? "version 4" : "otrpipe"
	for (i = 3; i < NF; i++)
		if ($(i + 1) == "ns/op" && (!((column, name) in ns) || $i < ns[column, name]))
			ns[column, name] = $i + 0
		else if ($(i + 1) == "MB/s" && $i > mb[column, name])
			mb[column, name] = $i + 0
}

END {
	printf "| %-36s | %12s | %12s | %14s | %12s |\n", "", "version 3", "libotr", "times as fast", "version 4"
	print "|--------------------------------------|-------------:|-------------:|---------------:|-------------:|"
	row("key exchange, both ends", "AKE", "ms")
	split("64B 1KiB 16KiB 64KiB", sizes, " ")
	for (s = 1; s in sizes; s++) {
		unit = s == 1 ? "/s" : "MB/s"
		row(sizes[s] ", send", "Send/" sizes[s], unit)
		row(sizes[s] ", receive", "Receive/" sizes[s], unit)
		row(sizes[s] ", send and receive", "SendReceive/" sizes[s], unit)
	}
	row("ping-pong, messages", "PingPong", "/s")
	row("SMP, both ends", "SMP", "ms")
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
	printf "| %-36s | %12s | %12s | %14s | %12s |\n", title, ours, theirs, ratio, figure("version 4", name, unit)
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
