# Makes one table of the benchmarks: lines in the form of Go's. Names that begin with V4 are
# version 4's, with Libotr libotr's, with Limit the limits: what the work of the same name
# cannot do without, measured alone. Of several lines about the same figure the best counts.

/^Benchmark/ {
	name = $1
	sub(/^Benchmark/, "", name)
	cores = match(name, /-[0-9]+$/) ? substr(name, RSTART + 1) : 1
	sub(/-[0-9]+$/, "", name)
	column = sub(/^Libotr/, "", name) ? "libotr" : sub(/^V4/, "", name) ? "4" : "3"
	if (sub(/^Limit/, "", name))
		column = column "limit"
	for (i = 3; i < NF; i++)
		if ($(i + 1) == "ns/op" && (!((column, name, cores) in ns) || $i < ns[column, name, cores]))
			ns[column, name, cores] = $i + 0
		else if ($(i + 1) == "MB/s" && $i > mb[column, name, cores])
			mb[column, name, cores] = $i + 0
}

END {
	print "| | version 4 | times its limit | version 3 | times its limit | libotr | times libotr |"
	print "|---|---:|---:|---:|---:|---:|---:|"
	row("key exchange, both ends", "AKE", "ms")
	row("SMP, both ends", "SMP", "ms")
	row("ping-pong: a message with new keys", "PingPong", "ms")
	split("64B 1KiB 16KiB 64KiB", sizes, " ")
	for (s = 1; s in sizes; s++) {
		unit = s == 1 ? "/s" : "MB/s"
		row(sizes[s] ", send", "Send/" sizes[s], unit)
		row(sizes[s] ", receive", "Receive/" sizes[s], unit)
	}
	row("64 KiB in full flight, send", "BulkSend", "MB/s")
	row("64 KiB in full flight, receive", "BulkReceive", "MB/s")
	row("1 GiB through a pipe, two processes", "Pipe", "MB/s")
	print ""
	print "Limits are rates or times of the primitives that the work cannot do without, measured alone in the same run."
	compare("1 GiB through ssh on loopback", "Ssh")
	compare("1 GiB encrypted by age", "Age")
	compare("1 GiB encrypted by gpg", "Gpg")
	cores2("send", "BulkSend")
	cores2("receive", "BulkReceive")
	if (("3", "HalvesOverFIFO", 1) in mb)
		printf "\nAn end in two halves has %.2f of the throughput of connect over the same pipes.\n", mb["3", "HalvesOverFIFO", 1] / mb["3", "ConnectOverFIFO", 1]
	if (("3", "Startup", 1) in ns)
		printf "\notrpipe fingerprint starts and ends in %.1f ms.\n", ns["3", "Startup", 1] / 1e6
}

# row prints a figure of both versions and libotr. What is given in time is better when it
# is less. Ratios to a limit are at least 1 for times, and at most 1 for rates.
function row(title, name, unit) {
	if (!(("3", name, 1) in ns) && !(("4", name, 1) in ns))
		return
	printf "| %s | %s | %s | %s | %s | %s | %s |\n", title,
		figure("4", name, unit), limit("4", name, unit), figure("3", name, unit), limit("3", name, unit),
		figure("libotr", name, unit), (("libotr", name, 1) in ns) && (("3", name, 1) in ns) ? sprintf("%.1f", ns["libotr", name, 1] / ns["3", name, 1]) : ""
}

function limit(column, name, unit,    ratio) {
	if (!((column "limit", name, 1) in ns) || !((column, name, 1) in ns))
		return ""
	if (unit == "MB/s")
		return sprintf("%.2f", mb[column, name, 1] / mb[column "limit", name, 1])
	return sprintf("%.2f", ns[column, name, 1] / ns[column "limit", name, 1])
}

function compare(title, name) {
	if ((("3", name, 1) in mb) && (("4", "Pipe", 1) in mb))
		printf "\n%s: %.0f MB/s; otrpipe in version 4 has %.2f times that, in version 3 %.2f.\n",
			title, mb["3", name, 1], mb["4", "Pipe", 1] / mb["3", name, 1], mb["3", "Pipe", 1] / mb["3", name, 1]
}

function cores2(title, name) {
	if (("4", name, 2) in mb)
		printf "\nTwo cores %s %.2f times as much as one in version 4, %.2f times in version 3.\n",
			title, mb["4", name, 2] / mb["4", name, 1], mb["3", name, 2] / mb["3", name, 1]
}

function figure(column, name, unit) {
	if (!((column, name, 1) in ns))
		return ""
	if (unit == "ms")
		return sprintf("%.2f ms", ns[column, name, 1] / 1e6)
	if (unit == "/s")
		return sprintf("%.0f /s", 1e9 / ns[column, name, 1])
	return sprintf("%.0f MB/s", mb[column, name, 1])
}
