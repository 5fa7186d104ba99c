# Makes one table of benchmark lines in Go's format. Names that begin with V4 are for version
# 4, with Libotr for libotr, and with Limit for the limits: the unavoidable part of the
# work with the same name, measured alone. If there are several lines for the same figure, the
# best counts.

/^BenchmarkConnectOverFIFO / { connect[++connects] = throughput() }
/^BenchmarkHalvesOverFIFO / { halves[++ofHalves] = throughput() }

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
		else if ($(i + 1) == "allocs/op" && (!((column, name, cores) in allocs) || $i < allocs[column, name, cores]))
			allocs[column, name, cores] = $i + 0
		else if ($(i + 1) == "peak-MiB" && $i > peak[column, name])
			peak[column, name] = $i + 0
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
	if (("3", "SshAnswer", 1) in ns)
		printf "\nOne byte and the byte that answers it, with pauses of 20 ms: %s in version 4, %s in version 3; through ssh %s. That is %.1f and %.1f times as long.\n",
			figure("4", "Answer", "ms"), figure("3", "Answer", "ms"), figure("3", "SshAnswer", "ms"),
			ns["4", "Answer", 1] / ns["3", "SshAnswer", 1], ns["3", "Answer", 1] / ns["3", "SshAnswer", 1]
	cores2("send", "BulkSend")
	cores2("receive", "BulkReceive")
	pairs()
	if (("3", "Startup", 1) in ns)
		printf "\n`otrpipe fingerprint` starts and ends in %.1f ms.\n", ns["3", "Startup", 1] / 1e6
	if (("4", "Send/64KiB", 1) in allocs)
		printf "\nAllocations for a message: %d to send and %d to receive in version 4, %d and %d in version 3.\n",
			allocs["4", "Send/64KiB", 1], allocs["4", "Receive/64KiB", 1], allocs["3", "Send/64KiB", 1], allocs["3", "Receive/64KiB", 1]
	growth()
}

# throughput returns the MB/s of the current line.
function throughput(    i) {
	for (i = 3; i < NF; i++)
		if ($(i + 1) == "MB/s")
			return $i + 0
}

# pairs compares halves with connect. Both run one right after the other, so each pair has a
# ratio of its own. The two best figures may be of different minutes of the machine.
function pairs(    n, i, j, ratio, sorted) {
	n = connects < ofHalves ? connects : ofHalves
	if (n == 0)
		return
	for (i = 1; i <= n; i++) {
		ratio = halves[i] / connect[i]
		for (j = i; j > 1 && sorted[j - 1] > ratio; j--)
			sorted[j] = sorted[j - 1]
		sorted[j] = ratio
	}
	printf "\nAn end in two halves has %.2f of the throughput of connect over the same pipes: the median of %d pairs, from %.2f to %.2f.\n",
		(sorted[int((n + 1) / 2)] + sorted[int(n / 2) + 1]) / 2, n, sorted[1], sorted[n]
}

# growth shows how time and memory grow with the number of things.
function growth(    n, sizes, s, name, most) {
	for (name in peak)
		if (name !~ /Ssh|Age|Gpg/ && peak[name] > most)
			most = peak[name]
	if (most > 0)
		printf "\nNo end needed more than %.0f MiB of memory in any of this.\n", most
	n = split("1MiB 16MiB 256MiB 1GiB 16GiB", sizes, " ")
	if (("4", "Growth/1MiB", 1) in ns) {
		print "\n| through a pipe, version 4 | time | memory of the larger end |\n|---|---:|---:|"
		for (s = 1; s <= n; s++) {
			name = sizes[s] == "1GiB" ? "Pipe" : "Growth/" sizes[s]
			if (("4", name, 1) in ns)
				printf "| %s | %.2f s | %.0f MiB |\n", thousands(sizes[s]), ns["4", name, 1] / 1e9, peak["4", name]
		}
	}
	if (("3", "Contacts/100", 1) in ns) {
		print "\n| how many | time | for each |\n|---|---:|---:|"
		numbers("a contact looked up; contacts on file", "Contacts", 1, "100 1000 10000")
		numbers("identities listed", "Identities", 1, "10 100 1000")
		numbers("a byte and back in each session of a process; sessions", "Sessions", 0, "1 10 100")
	}
}

# numbers prints a row for each number of things. whole means that the time is for all of them
# together.
function numbers(title, name, whole, list,    n, all, i, each) {
	n = split(list, all, " ")
	for (i = 1; i <= n; i++) {
		each = ns["3", name "/" all[i], 1] / (whole ? all[i] : 1)
		printf "| %s: %s | %.2f ms | %.1f µs |\n", title, thousands(all[i]), each * all[i] / 1e6, each / 1e3
	}
}

# thousands formats a number for reading, and separates its unit.
function thousands(n) {
	if (match(n, /[A-Z]/))
		return substr(n, 1, RSTART - 1) " " substr(n, RSTART)
	return n >= 1000 ? int(n / 1000) "," sprintf("%03d", n % 1000) : n
}

# row prints a figure for both versions and libotr. Lower is better for times. Ratios to a
# limit are at least 1 for times, and at most 1 for rates.
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
		printf "\nTwo cores %s %.2f times as much as one in version 4, %.2f times in version 3; the primitives alone %.2f and %.2f times.\n",
			title, gain("4", name), gain("3", name), gain("4limit", name), gain("3limit", name)
}

function gain(column, name) { return mb[column, name, 2] / mb[column, name, 1] }

function figure(column, name, unit) {
	if (!((column, name, 1) in ns))
		return ""
	if (unit == "ms")
		return sprintf("%.2f ms", ns[column, name, 1] / 1e6)
	if (unit == "/s")
		return sprintf("%.0f /s", 1e9 / ns[column, name, 1])
	return sprintf("%.0f MB/s", mb[column, name, 1])
}
