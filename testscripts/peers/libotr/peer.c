/*
 * A peer for tests around libotr: standard input is the network's lines to it,
 * standard output its lines to the network, standard error its events as JSON
 * lines. ../README.md documents the flags, commands and events, which are the
 * same for every peer here.
 *
 *   cc -o libotr-peer peer.c $(pkg-config --cflags --libs libotr) -lgcrypt
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gcrypt.h>
/* message.h leans on the others without including them. */
#include <libotr/proto.h>
#include <libotr/tlv.h>
#include <libotr/privkey.h>
#include <libotr/message.h>

/* There is one conversation; libotr files it under these names. */
#define ACCOUNT "peer"
#define PROTOCOL "otrpipe"
#define OTHER "other"

#define MAX_HOOKS 64
#define MAX_ARGS 3

/* A hook is a command that is run each time something happens: --on WHEN=COMMAND. */
struct hook {
	const char *when;
	const char *command;
};

static OtrlUserState us;
static FILE *events;
static OtrlPolicy policy;
static int max_size;
static int echo;
static struct hook hooks[MAX_HOOKS];
static int hook_count;

static ConnContext *current;  /* the context that last became secure, or NULL */
static int authentic;         /* the line being received held an authentic data message */
static unsigned long lines_read, lines_written, texts;

static void run_command(const char *command);

/* ---- events ---- */

static void put_string(const void *data, size_t len)
{
	const unsigned char *p = data;

	fputc('"', events);
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '"' || p[i] == '\\')
			fprintf(events, "\\%c", p[i]);
		else if (p[i] < 0x20 || p[i] > 0x7e)
			fprintf(events, "\\u%04x", p[i]);
		else
			fputc(p[i], events);
	}
	fputc('"', events);
}

static void put_hex(const unsigned char *p, size_t len)
{
	fputc('"', events);
	for (size_t i = 0; i < len; i++)
		fprintf(events, "%02x", p[i]);
	fputc('"', events);
}

static void event_begin(const char *name)
{
	fprintf(events, "{\"event\":\"%s\"", name);
}

static void field_text(const char *name, const char *text)
{
	fprintf(events, ",\"%s\":", name);
	put_string(text, strlen(text));
}

static void field_hex(const char *name, const unsigned char *p, size_t len)
{
	fprintf(events, ",\"%s\":", name);
	put_hex(p, len);
}

static void event_end(void)
{
	fputs("}\n", events);
	fflush(events);
}

static void event(const char *name)
{
	event_begin(name);
	event_end();
}

static void event_counts(const char *name, const char *command)
{
	event_begin(name);
	if (command)
		field_text("command", command);
	fprintf(events, ",\"read\":%lu,\"written\":%lu", lines_read, lines_written);
	event_end();
}

static void event_failed(const char *command, const char *reason)
{
	event_begin("failed");
	field_text("command", command);
	field_text("reason", reason);
	event_end();
}

static void happened(const char *when)
{
	for (int i = 0; i < hook_count; i++)
		if (!strcmp(hooks[i].when, when))
			run_command(hooks[i].command);
}

/* Hooks wait until libotr is done with a line: it says that a session is secure
 * before it sends the last message of the key exchange. */
static int secure_pending, asked_pending, ended_pending;

static void run_pending(void)
{
	int secure = secure_pending, asked = asked_pending, ended = ended_pending;

	secure_pending = asked_pending = ended_pending = 0;
	if (secure)
		happened("secure");
	if (asked)
		happened("asked");
	if (ended)
		happened("ended");
}

/* ---- the network ---- */

static void die(const char *what)
{
	fprintf(stderr, "libotr-peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Writes a message and its LF; a message that holds newlines is several lines. */
static void network_write(const char *message)
{
	size_t len = strlen(message);
	char *line = malloc(len + 1);

	if (!line)
		die("memory");
	memcpy(line, message, len);
	line[len] = '\n';
	for (size_t i = 0; i <= len; i++)
		lines_written += line[i] == '\n';
	for (size_t done = 0; done <= len;) {
		ssize_t n = write(STDOUT_FILENO, line + done, len + 1 - done);
		if (n < 0 && errno != EINTR)
			die("write to the network");
		if (n > 0)
			done += (size_t)n;
	}
	free(line);
}

/* ---- what libotr asks of its application ---- */

static OtrlPolicy on_policy(void *data, ConnContext *context)
{
	(void)data, (void)context;
	return policy;
}

static int on_is_logged_in(void *data, const char *account, const char *protocol,
	const char *recipient)
{
	(void)data, (void)account, (void)protocol, (void)recipient;
	return 1;
}

static void on_inject(void *data, const char *account, const char *protocol,
	const char *recipient, const char *message)
{
	(void)data, (void)account, (void)protocol, (void)recipient;
	network_write(message);
}

static void on_secure(void *data, ConnContext *context)
{
	(void)data;
	current = context;
	event_begin("secure");
	fprintf(events, ",\"version\":%u", context->protocol_version);
	field_hex("fingerprint", context->active_fingerprint->fingerprint, 20);
	field_hex("ssid", context->sessionid, context->sessionid_len);
	field_text("bold", context->sessionid_half == OTRL_SESSIONID_FIRST_HALF_BOLD ?
		"first" : "second");
	fprintf(events, ",\"instance\":%u", context->their_instance);
	event_end();
	secure_pending = 1;
}

static void on_still_secure(void *data, ConnContext *context, int is_reply)
{
	(void)is_reply;
	on_secure(data, context);
}

static int on_max_message_size(void *data, ConnContext *context)
{
	(void)data, (void)context;
	return max_size;
}

static void on_symkey(void *data, ConnContext *context, unsigned int use,
	const unsigned char *usedata, size_t len, const unsigned char *key)
{
	(void)data, (void)context;
	event_begin("extra_key");
	fprintf(events, ",\"use\":%u", use);
	field_hex("data", usedata, len);
	field_hex("key", key, OTRL_EXTRAKEY_BYTES);
	event_end();
}

static const char *on_error_message(void *data, ConnContext *context, OtrlErrorCode code)
{
	(void)data, (void)context;
	switch (code) {
	case OTRL_ERRCODE_ENCRYPTION_ERROR: return strdup("encryption failed");
	case OTRL_ERRCODE_MSG_NOT_IN_PRIVATE: return strdup("not in a private conversation");
	case OTRL_ERRCODE_MSG_UNREADABLE: return strdup("unreadable message");
	case OTRL_ERRCODE_MSG_MALFORMED: return strdup("malformed message");
	default: return strdup("error");
	}
}

static void on_error_message_free(void *data, const char *message)
{
	(void)data;
	free((char *)message);
}

static void on_smp(void *data, OtrlSMPEvent what, ConnContext *context,
	unsigned short percent, char *question)
{
	(void)data, (void)percent;
	current = context;
	switch (what) {
	case OTRL_SMPEVENT_ASK_FOR_SECRET:
	case OTRL_SMPEVENT_ASK_FOR_ANSWER:
		event_begin("smp_asked");
		if (question)
			field_text("question", question);
		event_end();
		asked_pending = 1;
		break;
	case OTRL_SMPEVENT_SUCCESS:
		event("smp_succeeded");
		break;
	case OTRL_SMPEVENT_FAILURE:
		event("smp_failed");
		break;
	case OTRL_SMPEVENT_ABORT:
		event("smp_aborted");
		break;
	case OTRL_SMPEVENT_CHEATED:
	case OTRL_SMPEVENT_ERROR: {
		OtrlMessageAppOps *ops = data;
		event("smp_cheated");
		otrl_message_abort_smp(us, ops, ops, context);
		break;
	}
	default:
		break;
	}
}

static void on_message_event(void *data, OtrlMessageEvent what, ConnContext *context,
	const char *message, gcry_error_t err)
{
	(void)data, (void)context, (void)err;
	switch (what) {
	case OTRL_MSGEVENT_ENCRYPTION_REQUIRED: event("encryption_required"); break;
	case OTRL_MSGEVENT_ENCRYPTION_ERROR: event_failed("say", "encryption error"); break;
	case OTRL_MSGEVENT_CONNECTION_ENDED: event_failed("say", "finished"); break;
	case OTRL_MSGEVENT_SETUP_ERROR: event("setup_error"); break;
	case OTRL_MSGEVENT_MSG_REFLECTED: event("reflected"); break;
	case OTRL_MSGEVENT_MSG_RESENT: event("resent"); break;
	case OTRL_MSGEVENT_RCVDMSG_NOT_IN_PRIVATE: event("not_in_private"); break;
	case OTRL_MSGEVENT_RCVDMSG_UNREADABLE: event("unreadable"); break;
	case OTRL_MSGEVENT_RCVDMSG_MALFORMED: event("malformed"); break;
	case OTRL_MSGEVENT_LOG_HEARTBEAT_RCVD: event("heartbeat"); break;
	case OTRL_MSGEVENT_RCVDMSG_GENERAL_ERR:
		event_begin("peer_error");
		field_text("text", message);
		event_end();
		break;
	case OTRL_MSGEVENT_RCVDMSG_UNENCRYPTED:
		event_begin("unencrypted");
		field_text("text", message);
		event_end();
		break;
	case OTRL_MSGEVENT_RCVDMSG_UNRECOGNIZED: event("unrecognized"); break;
	case OTRL_MSGEVENT_RCVDMSG_FOR_OTHER_INSTANCE: event("other_instance"); break;
	default: break;
	}
}

static void on_create_instag(void *data, const char *account, const char *protocol)
{
	FILE *file = tmpfile();

	(void)data;
	if (!file || otrl_instag_generate_FILEp(us, file, account, protocol))
		die("instance tag");
	fclose(file);
}

/* libotr calls this after each data message it has decrypted, which is how we
 * know authentic text from text that only looks so. */
static void on_convert(void *data, ConnContext *context, OtrlConvertType type,
	char **dest, const char *src)
{
	(void)data, (void)context, (void)dest, (void)src;
	if (type == OTRL_CONVERT_RECEIVING)
		authentic = 1;
}

static void on_convert_free(void *data, ConnContext *context, char *dest)
{
	(void)data, (void)context, (void)dest;
}

static OtrlMessageAppOps ops = {
	.policy = on_policy,
	.is_logged_in = on_is_logged_in,
	.inject_message = on_inject,
	.gone_secure = on_secure,
	.still_secure = on_still_secure,
	.max_message_size = on_max_message_size,
	.received_symkey = on_symkey,
	.otr_error_message = on_error_message,
	.otr_error_message_free = on_error_message_free,
	.handle_smp_event = on_smp,
	.handle_msg_event = on_message_event,
	.create_instag = on_create_instag,
	.convert_msg = on_convert,
	.convert_free = on_convert_free,
};

/* ---- receiving ---- */

static void say(const char *text)
{
	char *message = NULL;
	gcry_error_t err = otrl_message_sending(us, &ops, &ops, ACCOUNT, PROTOCOL, OTHER,
		OTRL_INSTAG_BEST, text, NULL, &message, OTRL_FRAGMENT_SEND_ALL, NULL, NULL, NULL);

	if (err)
		event_failed("say", gcry_strerror(err));
	else if (!message)  /* libotr leaves plaintext without a tag to its caller */
		network_write(text);
	otrl_message_free(message);
}

static void received_text(const char *text)
{
	char when[32];

	event_begin("text");
	field_text("text", text);
	fprintf(events, ",\"encrypted\":%s", authentic ? "true" : "false");
	event_end();
	if (!authentic)
		return;
	if (echo)
		say(text);
	happened("text");
	snprintf(when, sizeof when, "text:%lu", ++texts);
	happened(when);
}

static void receive(const char *line)
{
	char *text = NULL;
	OtrlTLV *tlvs = NULL;
	int internal;

	authentic = 0;
	internal = otrl_message_receiving(us, &ops, &ops, ACCOUNT, PROTOCOL, OTHER, line,
		&text, &tlvs, NULL, NULL, NULL);
	if (!internal)
		received_text(text ? text : line);
	if (otrl_tlv_find(tlvs, OTRL_TLV_DISCONNECTED)) {
		event("ended");
		ended_pending = 1;
	}
	otrl_tlv_free(tlvs);
	otrl_message_free(text);
}

static void receive_line(const char *line)
{
	lines_read++;
	receive(line);
	run_pending();
	event_counts("read", NULL);
}

/* ---- commands ---- */

static int encrypted(void)
{
	return current && current->msgstate == OTRL_MSGSTATE_ENCRYPTED;
}

static unsigned versions_of(const char *digits)
{
	unsigned versions = 0;

	for (; *digits; digits++) {
		if (*digits == '2')
			versions |= OTRL_POLICY_ALLOW_V2;
		else if (*digits == '3')
			versions |= OTRL_POLICY_ALLOW_V3;
		else
			return 0;
	}
	return versions;
}

static void heartbeat(void)
{
	char *message = NULL;

	if (otrl_proto_create_data(&message, current, "", NULL,
		    OTRL_MSGFLAGS_IGNORE_UNREADABLE, NULL))
		event_failed("heartbeat", "encryption error");
	else
		network_write(message);
	free(message);
}

static void extra_key(const char *use, const char *usedata)
{
	unsigned char key[OTRL_EXTRAKEY_BYTES];
	unsigned number = (unsigned)strtoul(use, NULL, 0);

	if (otrl_message_symkey(us, &ops, &ops, current, number,
		    (const unsigned char *)usedata, strlen(usedata), key)) {
		event_failed("extra-key", "refused");
		return;
	}
	event_begin("extra_key_sent");
	fprintf(events, ",\"use\":%u", number);
	field_hex("key", key, sizeof key);
	event_end();
}

static void forget(void)
{
	ConnContext *context;

	for (context = us->context_root; context; context = context->next)
		otrl_context_force_plaintext(context);
	otrl_context_forget_all(us);
	current = NULL;
}

static void status(void)
{
	const char *state = "plaintext";

	if (current && current->msgstate == OTRL_MSGSTATE_ENCRYPTED)
		state = "encrypted";
	else if (current && current->msgstate == OTRL_MSGSTATE_FINISHED)
		state = "finished";
	event_begin("status");
	field_text("state", state);
	event_end();
}

/* Undoes the escapes \n \r \t \\ and \xHH in place. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		unsigned byte;

		if (*s != '\\' || !s[1]) {
			*out++ = *s;
			continue;
		}
		switch (*++s) {
		case 'n': *out++ = '\n'; break;
		case 'r': *out++ = '\r'; break;
		case 't': *out++ = '\t'; break;
		case 'x':
			if (sscanf(s + 1, "%2x", &byte) == 1) {
				*out++ = (char)byte;
				s += s[2] ? 2 : 1;
			}
			break;
		default: *out++ = *s; break;
		}
	}
	*out = 0;
}

static void dispatch(const char *verb, int argc, char **arg)
{
	if (!strcmp(verb, "say"))
		say(argc ? arg[0] : "");
	else if (!strcmp(verb, "raw") && argc)
		network_write(arg[0]);
	else if (!strcmp(verb, "query")) {
		char *query = otrl_proto_default_query_msg(ACCOUNT, policy);
		network_write(query);
		free(query);
	} else if (!strcmp(verb, "commit"))
		/* What a query from the other side would make us do. */
		receive(policy & OTRL_POLICY_ALLOW_V3 ? "?OTRv3?" : "?OTRv2?");
	else if (!strcmp(verb, "end")) {
		otrl_message_disconnect_all_instances(us, &ops, &ops, ACCOUNT, PROTOCOL, OTHER);
	} else if (!strcmp(verb, "forget"))
		forget();
	else if (!strcmp(verb, "crash"))
		_exit(3);
	else if (!strcmp(verb, "quit"))
		_exit(0);
	else if (!strcmp(verb, "versions") && argc && versions_of(arg[0]))
		policy = (policy & ~OTRL_POLICY_VERSION_MASK) | versions_of(arg[0]);
	else if (!strcmp(verb, "fragment") && argc)
		max_size = atoi(arg[0]);
	else if (!strcmp(verb, "echo") && argc)
		echo = !strcmp(arg[0], "on");
	else if (!strcmp(verb, "status"))
		status();
	else if (!encrypted())
		event_failed(verb, "not encrypted, or no such command");
	else if (!strcmp(verb, "smp") && argc == 1)
		otrl_message_initiate_smp(us, &ops, &ops, current,
			(unsigned char *)arg[0], strlen(arg[0]));
	else if (!strcmp(verb, "smp") && argc == 2)
		otrl_message_initiate_smp_q(us, &ops, &ops, current, arg[1],
			(unsigned char *)arg[0], strlen(arg[0]));
	else if (!strcmp(verb, "answer") && argc)
		otrl_message_respond_smp(us, &ops, &ops, current,
			(unsigned char *)arg[0], strlen(arg[0]));
	else if (!strcmp(verb, "abort"))
		otrl_message_abort_smp(us, &ops, &ops, current);
	else if (!strcmp(verb, "extra-key") && argc)
		extra_key(arg[0], argc > 1 ? arg[1] : "");
	else if (!strcmp(verb, "heartbeat"))
		heartbeat();
	else
		event_failed(verb, "no such command");
}

static void run_command(const char *command)
{
	char *copy = strdup(command);
	char *arg[MAX_ARGS];
	int argc = 0;
	char *rest = strchr(copy, ' ');

	if (rest)
		*rest++ = 0;
	while (rest && argc < MAX_ARGS) {
		arg[argc++] = rest;
		rest = strchr(rest, '\t');
		if (rest)
			*rest++ = 0;
	}
	for (int i = 0; i < argc; i++)
		unescape(arg[i]);
	dispatch(copy, argc, arg);
	event_counts("done", copy);
	free(copy);
}

/* ---- reading both inputs ---- */

struct source {
	int fd;
	void (*line)(const char *);
	char *buffer;
	size_t len, size;
};

/* Reads what there is and hands on every whole line; 0 at the end of input. */
static int pull(struct source *s)
{
	ssize_t n;
	char *start, *newline;

	if (s->size - s->len < 65536) {
		s->size = s->size * 2 + 131072;
		s->buffer = realloc(s->buffer, s->size);
		if (!s->buffer)
			die("memory");
	}
	n = read(s->fd, s->buffer + s->len, s->size - s->len);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n <= 0)
		return 0;
	s->len += (size_t)n;
	start = s->buffer;
	while ((newline = memchr(start, '\n', s->len - (size_t)(start - s->buffer)))) {
		*newline = 0;
		if (newline > start && newline[-1] == '\r')
			newline[-1] = 0;
		s->line(start);
		start = newline + 1;
	}
	s->len -= (size_t)(start - s->buffer);
	memmove(s->buffer, start, s->len);
	return 1;
}

static void usage(void)
{
	fputs("usage: libotr-peer [--key FILE] [--versions 23] [--control FIFO] [--events FILE]\n"
	      "                   [--fragment N] [--tag] [--require] [--echo] [--on WHEN=COMMAND]...\n",
		stderr);
	exit(2);
}

static void add_hook(char *hook)
{
	char *equals = strchr(hook, '=');

	if (!equals || hook_count == MAX_HOOKS)
		usage();
	*equals = 0;
	hooks[hook_count++] = (struct hook){hook, equals + 1};
}

static void load_key(const char *path)
{
	FILE *scratch;

	if (path) {
		if (otrl_privkey_read(us, path) || !us->privkey_root) {
			fprintf(stderr, "libotr-peer: %s: no private key\n", path);
			exit(1);
		}
		/* Whatever account the file was written for, the key is ours. */
		free(us->privkey_root->accountname);
		free(us->privkey_root->protocol);
		us->privkey_root->accountname = strdup(ACCOUNT);
		us->privkey_root->protocol = strdup(PROTOCOL);
		return;
	}
	gcry_control(GCRYCTL_ENABLE_QUICK_RANDOM, 0);
	scratch = tmpfile();
	if (!scratch || otrl_privkey_generate_FILEp(us, scratch, ACCOUNT, PROTOCOL))
		die("key generation");
	fclose(scratch);
}

static void ready(void)
{
	unsigned char fingerprint[20];

	otrl_privkey_fingerprint_raw(us, fingerprint, ACCOUNT, PROTOCOL);
	event_begin("ready");
	field_text("peer", "libotr");
	field_text("library", otrl_version());
	field_hex("fingerprint", fingerprint, sizeof fingerprint);
	event_end();
	happened("start");
}

int main(int argc, char **argv)
{
	const char *key = NULL, *control = NULL, *versions = "23";
	struct source network = {.fd = STDIN_FILENO, .line = receive_line};
	struct source commands = {.fd = -1, .line = run_command};

	OTRL_INIT;
	us = otrl_userstate_create();
	events = stderr;
	policy = OTRL_POLICY_WHITESPACE_START_AKE | OTRL_POLICY_ERROR_START_AKE;
	for (int i = 1; i < argc; i++) {
		char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--tag"))
			policy |= OTRL_POLICY_SEND_WHITESPACE_TAG;
		else if (!strcmp(argv[i], "--require"))
			policy |= OTRL_POLICY_REQUIRE_ENCRYPTION;
		else if (!strcmp(argv[i], "--echo"))
			echo = 1;
		else if (!value)
			usage();
		else if (i++, !strcmp(argv[i - 1], "--key"))
			key = value;
		else if (!strcmp(argv[i - 1], "--versions"))
			versions = value;
		else if (!strcmp(argv[i - 1], "--control"))
			control = value;
		else if (!strcmp(argv[i - 1], "--events")) {
			if (!(events = fopen(value, "a")))
				die(value);
		} else if (!strcmp(argv[i - 1], "--fragment"))
			max_size = atoi(value);
		else if (!strcmp(argv[i - 1], "--on"))
			add_hook(value);
		else
			usage();
	}
	if (!versions_of(versions))
		usage();
	policy |= versions_of(versions);
	/* Read and write, so that a FIFO whose writer leaves does not end. */
	if (control && (commands.fd = open(control, O_RDWR)) < 0)
		die(control);
	load_key(key);
	ready();

	for (;;) {
		struct pollfd fds[2] = {
			{.fd = network.fd, .events = POLLIN},
			{.fd = commands.fd, .events = POLLIN},
		};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[1].revents && !pull(&commands))
			commands.fd = -1;
		if (fds[0].revents && !pull(&network))
			break;
	}
	event("eof");
	return 0;
}
