/* The floor of the bench: the least that a careful C program on sd-bus does to
 * write a line for each change of state of the units named in a file. Like the
 * monitor, it takes both halves of a change, since only the Service half says
 * why a run ended; it matches by path for few units and by namespace for many,
 * reads no property after the last one it wants, and writes once per wake-up.
 * It counts nothing, saves nothing and does not ask what it missed.
 *
 *     floor UNITS_FILE LOG_FILE
 */
#include <err.h>
#include <fcntl.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#define UNIT_PATH "/org/freedesktop/systemd1/unit"
#define UNIT_INTERFACE "org.freedesktop.systemd1.Unit"
#define SERVICE_INTERFACE "org.freedesktop.systemd1.Service"
#define PATH_RULES 32 /* with more, the rules cost the bus more than unwanted signals do */
#define MAX_LINE 512

struct unit {
	char name[256];
	char path[512];
	char state[32];  /* empty before the first change */
	char result[32]; /* of the Service half that came last */
	int code, status;
};

static char batch[64 * 1024]; /* lines of one wake-up */
static size_t filled;
static int out;

static void flush(void) {
	if (filled > 0 && write(out, batch, filled) != (ssize_t)filled)
		err(1, "cannot write the log");
	filled = 0;
}

/* now_text formats a second once. */
static const char *now_text(void) {
	static char text[32];
	static time_t last;
	time_t now = time(NULL);
	if (now != last) {
		struct tm tm;
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
		last = now;
	}
	return text;
}

static void write_line(struct unit *u, const char *state, const char *sub) {
	if (filled + MAX_LINE > sizeof batch)
		flush();
	filled += snprintf(batch + filled, MAX_LINE, "%s %s: %s -> %s (SubState: %s, Result: %s, code: %d, status: %d)\n",
		now_text(), u->name, *u->state ? u->state : "-", state, sub, u->result, u->code, u->status);
	snprintf(u->state, sizeof u->state, "%s", state);
}

static int read_text(sd_bus_message *m, const char **value) {
	return sd_bus_message_read(m, "v", "s", value);
}

/* unit_half looks for two properties. */
static int unit_half(sd_bus_message *m, struct unit *u) {
	const char *key, *state = NULL, *sub = NULL;
	int r;
	while ((!state || !sub) && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		if ((r = sd_bus_message_read_basic(m, 's', &key)) < 0)
			return r;
		if (strcmp(key, "ActiveState") == 0)
			r = read_text(m, &state);
		else if (strcmp(key, "SubState") == 0)
			r = read_text(m, &sub);
		else
			r = sd_bus_message_skip(m, "v");
		if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
			return r;
	}
	if (state && sub && strcmp(state, u->state) != 0)
		write_line(u, state, sub);
	return 0;
}

/* service_half looks for three. */
static int service_half(sd_bus_message *m, struct unit *u) {
	const char *key, *text;
	int r = 0;
	for (int left = 3; left > 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0;) {
		if ((r = sd_bus_message_read_basic(m, 's', &key)) < 0)
			return r;
		if (strcmp(key, "Result") == 0) {
			r = read_text(m, &text);
			if (r >= 0)
				snprintf(u->result, sizeof u->result, "%s", text);
			left--;
		} else if (strcmp(key, "ExecMainCode") == 0) {
			r = sd_bus_message_read(m, "v", "i", &u->code);
			left--;
		} else if (strcmp(key, "ExecMainStatus") == 0) {
			r = sd_bus_message_read(m, "v", "i", &u->status);
			left--;
		} else
			r = sd_bus_message_skip(m, "v");
		if (r < 0 || (r = sd_bus_message_exit_container(m)) < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
	ENTRY key = {.key = (char *)sd_bus_message_get_path(m)}, *found;
	const char *interface;
	int r;
	(void)userdata, (void)error;
	found = hsearch(key, FIND);
	if (!found)
		return 0;
	if ((r = sd_bus_message_read_basic(m, 's', &interface)) < 0 || (r = sd_bus_message_enter_container(m, 'a', "{sv}")) < 0)
		return r;
	if (strcmp(interface, UNIT_INTERFACE) == 0)
		return unit_half(m, found->data);
	if (strcmp(interface, SERVICE_INTERFACE) == 0)
		return service_half(m, found->data);
	return 0;
}

/* load reads the names of units, one a line. */
static struct unit *load(const char *file, size_t *count) {
	struct unit *units = NULL;
	char name[256];
	FILE *in = fopen(file, "re");
	if (!in)
		err(1, "cannot read %s", file);
	*count = 0;
	while (fscanf(in, "%255s", name) == 1) {
		char *path;
		units = realloc(units, (*count + 1) * sizeof *units);
		if (!units || sd_bus_path_encode(UNIT_PATH, name, &path) < 0)
			errx(1, "cannot keep %s", name);
		struct unit *u = &units[(*count)++];
		memset(u, 0, sizeof *u);
		snprintf(u->name, sizeof u->name, "%s", name);
		snprintf(u->path, sizeof u->path, "%s", path);
		free(path);
	}
	fclose(in);
	return units;
}

static void match(sd_bus *bus, const char *key, const char *path) {
	char rule[1024];
	snprintf(rule, sizeof rule, "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',"
		"member='PropertiesChanged',%s='%s'", key, path);
	int r = sd_bus_add_match(bus, NULL, rule, changed, NULL);
	if (r < 0)
		errx(1, "cannot match %s: %s", path, strerror(-r));
}

static void subscribe(sd_bus *bus, struct unit *units, size_t count) {
	if (!hcreate(count * 2))
		err(1, "cannot make a table");
	for (size_t i = 0; i < count; i++)
		hsearch((ENTRY){.key = units[i].path, .data = &units[i]}, ENTER);
	if (count > PATH_RULES)
		match(bus, "path_namespace", UNIT_PATH);
	for (size_t i = 0; count <= PATH_RULES && i < count; i++)
		match(bus, "path", units[i].path);
	int r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager", "Subscribe", NULL, NULL, NULL);
	if (r < 0)
		errx(1, "cannot subscribe: %s", strerror(-r));
}

int main(int argc, char **argv) {
	sd_bus *bus;
	size_t count;
	int r;
	if (argc != 3)
		errx(2, "usage: floor UNITS_FILE LOG_FILE");
	struct unit *units = load(argv[1], &count);
	if ((out = open(argv[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644)) < 0)
		err(1, "cannot open %s", argv[2]);
	if ((r = sd_bus_open_system(&bus)) < 0)
		errx(1, "cannot open the bus: %s", strerror(-r));
	subscribe(bus, units, count);
	sd_notify(0, "READY=1");
	for (;;) {
		while ((r = sd_bus_process(bus, NULL)) > 0)
			;
		flush();
		if (r < 0 || (r = sd_bus_wait(bus, UINT64_MAX)) < 0)
			errx(1, "lost the bus: %s", strerror(-r));
	}
}
