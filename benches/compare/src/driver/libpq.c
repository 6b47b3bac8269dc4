/* libpq, as its manual advises: statements prepared once, parameters and results in binary,
 * pipeline mode for many statements, single-row mode for large results. It blocks: there are
 * no tasks and no pool.
 *
 * libpq <host> <port> <user> <password> <database> <certificate or -> <workload> <tasks>
 *       <seconds> <rows of W10> <rows of W9>
 *
 * prints what `compare live` prints. */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { ROWS = 1000, WORLD = 10000, WIDE = 350, BLOBS = 100, BLOB = 4096, PIPELINED = 100, FAR = 20 };

static PGconn *connection;
static const char *conninfo;
static long stream_rows;
static int64_t insert_ids[ROWS];
static char insert_names[ROWS][32];
static uint64_t insert_values[ROWS];
static long copied;

/* A row of W9, as it is inserted. */
struct event {
    uint32_t id;
    char name[24];
    uint64_t moment_us;
};
static struct event *events;
static const int64_t FIRST_MOMENT_US = 762525296000000, BETWEEN_MOMENTS_US = 1000001;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "libpq: %s: %s\n", what, why);
    exit(1);
}

static void check(int holds, const char *what) {
    if (!holds) fail(what, "was read wrongly");
}

static PGresult *expect(PGresult *result, ExecStatusType status) {
    if (PQresultStatus(result) != status) fail("the server", PQresultErrorMessage(result));
    return result;
}

static PGconn *open_connection(void) {
    PGconn *made = PQconnectdb(conninfo);
    if (PQstatus(made) != CONNECTION_OK) fail("connecting", PQerrorMessage(made));
    return made;
}

static void prepare(const char *name, const char *sql, int parameters, const Oid *types) {
    PQclear(expect(PQprepare(connection, name, sql, parameters, types), PGRES_COMMAND_OK));
}

static int32_t int4(const PGresult *result, int row, int column) {
    uint32_t value;
    memcpy(&value, PQgetvalue(result, row, column), 4);
    return (int32_t)ntohl(value);
}

static int64_t int8(const PGresult *result, int row, int column) {
    uint64_t value;
    memcpy(&value, PQgetvalue(result, row, column), 8);
    return (int64_t)__builtin_bswap64(value);
}

static double float8(const PGresult *result, int row, int column) {
    uint64_t bits = (uint64_t)int8(result, row, column);
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static PGresult *run(const char *name) {
    return expect(PQexecPrepared(connection, name, 0, NULL, NULL, NULL, 1), PGRES_TUPLES_OK);
}

static int32_t random_number(int32_t id) {
    return ((id * 7919) & 0x7fff) + 1;
}

static int32_t nth_id(long turn) {
    return (int32_t)(turn * 97 % WORLD) + 1;
}

static void select_one(long turn) {
    (void)turn;
    PGresult *result = run("one");
    check(int4(result, 0, 0) == 1, "W1");
    PQclear(result);
}

static void lookup(long turn) {
    int32_t id = nth_id(turn);
    uint32_t wire = htonl((uint32_t)id);
    const char *values[] = {(const char *)&wire};
    int lengths[] = {4}, formats[] = {1};
    PGresult *result = expect(
        PQexecPrepared(connection, "lookup", 1, values, lengths, formats, 1), PGRES_TUPLES_OK);
    check(int4(result, 0, 0) == id && int4(result, 0, 1) == random_number(id), "W2");
    PQclear(result);
}

struct wide {
    char name[64];
    uint32_t namespace, owner, relid, elem, array;
    int16_t len;
    char byval, category, preferred, defined, delim;
};

static void wide(long turn) {
    (void)turn;
    static struct wide rows[WIDE];
    PGresult *result = run("wide");
    check(PQntuples(result) == WIDE, "W3");
    for (int row = 0; row < WIDE; row++) {
        struct wide *one = &rows[row];
        uint16_t len;
        memcpy(one->name, PQgetvalue(result, row, 0), (size_t)PQgetlength(result, row, 0) + 1);
        one->namespace = (uint32_t)int4(result, row, 1);
        one->owner = (uint32_t)int4(result, row, 2);
        memcpy(&len, PQgetvalue(result, row, 3), 2);
        one->len = (int16_t)ntohs(len);
        one->byval = *PQgetvalue(result, row, 4);
        one->category = *PQgetvalue(result, row, 5);
        one->preferred = *PQgetvalue(result, row, 6);
        one->defined = *PQgetvalue(result, row, 7);
        one->delim = *PQgetvalue(result, row, 8);
        one->relid = (uint32_t)int4(result, row, 9);
        one->elem = (uint32_t)int4(result, row, 10);
        one->array = (uint32_t)int4(result, row, 11);
    }
    check(rows[WIDE - 1].array == WIDE + 1000 && rows[1].len == 1, "W3");
    PQclear(result);
}

static void integers(long turn) {
    (void)turn;
    static int32_t numbers[ROWS];
    PGresult *result = run("integers");
    check(PQntuples(result) == ROWS, "W4");
    for (int row = 0; row < ROWS; row++) numbers[row] = int4(result, row, 0);
    check(numbers[0] == 1 && numbers[ROWS - 1] == ROWS, "W4");
    PQclear(result);
}

static void blobs_borrowed(long turn) {
    (void)turn;
    PGresult *result = run("blobs");
    long seen = 0;
    for (int row = 0; row < PQntuples(result); row++)
        seen += PQgetlength(result, row, 0) + *(unsigned char *)PQgetvalue(result, row, 0);
    check(seen == (long)BLOBS * BLOB, "W5");
    PQclear(result);
}

static void blobs_owned(long turn) {
    (void)turn;
    PGresult *result = run("blobs");
    char *kept[BLOBS];
    check(PQntuples(result) == BLOBS, "W5");
    for (int row = 0; row < BLOBS; row++) {
        kept[row] = malloc((size_t)PQgetlength(result, row, 0));
        memcpy(kept[row], PQgetvalue(result, row, 0), (size_t)PQgetlength(result, row, 0));
    }
    PQclear(result);
    for (int row = 0; row < BLOBS; row++) {
        check(kept[row][1] == 1, "W5");
        free(kept[row]);
    }
}

static void arrays(long turn) {
    (void)turn;
    PGresult *result = run("arrays");
    for (int row = 0; row < PQntuples(result); row++) {
        /* One dimension: five words of header, then a length and a value each. */
        const char *at = PQgetvalue(result, row, 0) + 20;
        int32_t *elements = malloc(100 * sizeof *elements);
        for (int index = 0; index < 100; index++) {
            uint32_t word;
            memcpy(&word, at + index * 8 + 4, 4);
            elements[index] = (int32_t)ntohl(word);
        }
        check(elements[99] == (row + 1) * 1000 + 99, "W6");
        free(elements);
    }
    PQclear(result);
}

static void send_lookup(int index) {
    uint32_t wire = htonl((uint32_t)nth_id(index));
    const char *values[] = {(const char *)&wire};
    int lengths[] = {4}, formats[] = {1};
    if (!PQsendQueryPrepared(connection, "lookup", 1, values, lengths, formats, 1))
        fail("a pipeline", PQerrorMessage(connection));
}

static void end_pipeline(void) {
    PQclear(expect(PQgetResult(connection), PGRES_PIPELINE_SYNC));
}

static void pipeline(int count, int each) {
    PQenterPipelineMode(connection);
    for (int index = 0; index < count; index++) {
        send_lookup(index);
        if (each) PQpipelineSync(connection);
    }
    if (!each) PQpipelineSync(connection);
    for (int index = 0; index < count; index++) {
        PGresult *result = expect(PQgetResult(connection), PGRES_TUPLES_OK);
        check(int4(result, 0, 1) == random_number(nth_id(index)), "W7");
        PQclear(result);
        PQclear(PQgetResult(connection));
        if (each) end_pipeline();
    }
    if (!each) end_pipeline();
    PQexitPipelineMode(connection);
}

static void pipeline_each(long turn) { (void)turn; pipeline(PIPELINED, 1); }
static void pipeline_one(long turn) { (void)turn; pipeline(PIPELINED, 0); }
static void far(long turn) { (void)turn; pipeline(FAR, 0); }

static void far_one_by_one(long turn) {
    for (int index = 0; index < FAR; index++) lookup(turn + index);
}

static void inserts(long turn) {
    (void)turn;
    PQenterPipelineMode(connection);
    for (int row = 0; row < ROWS; row++) {
        const char *values[] = {(char *)&insert_ids[row], insert_names[row], (char *)&insert_values[row]};
        int lengths[] = {8, (int)strlen(insert_names[row]), 8}, formats[] = {1, 1, 1};
        if (!PQsendQueryPrepared(connection, "insert", 3, values, lengths, formats, 1))
            fail("an insert", PQerrorMessage(connection));
    }
    PQpipelineSync(connection);
    for (int row = 0; row < ROWS; row++) {
        PQclear(expect(PQgetResult(connection), PGRES_COMMAND_OK));
        PQclear(PQgetResult(connection));
    }
    end_pipeline();
    PQexitPipelineMode(connection);
}

static char *field(char *at, const void *value, uint32_t length) {
    uint32_t wire = htonl(length);
    memcpy(at, &wire, 4);
    memcpy(at + 4, value, length);
    return at + 4 + length;
}

static void copy_in(long turn) {
    (void)turn;
    enum { CHUNK = 64 * 1024 };
    static char buffer[CHUNK + sizeof(struct event) + 64];
    char *at = buffer;
    PQclear(expect(
        PQexec(connection,
               "copy kornak_bench.event_sink (id, name, moment) from stdin with (format binary)"),
        PGRES_COPY_IN));
    memcpy(at, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    at += 19;
    for (long row = 0; row <= copied; row++) {
        if (row == copied) {
            memcpy(at, "\377\377", 2), at += 2;
        } else {
            uint16_t columns = htons(3);
            memcpy(at, &columns, 2), at += 2;
            at = field(at, &events[row].id, 4);
            at = field(at, events[row].name, (uint32_t)strlen(events[row].name));
            at = field(at, &events[row].moment_us, 8);
        }
        if (at - buffer >= CHUNK || row == copied) {
            if (PQputCopyData(connection, buffer, (int)(at - buffer)) != 1)
                fail("a copy", PQerrorMessage(connection));
            at = buffer;
        }
    }
    if (PQputCopyEnd(connection, NULL) != 1) fail("a copy", PQerrorMessage(connection));
    PGresult *result = expect(PQgetResult(connection), PGRES_COMMAND_OK);
    check(atol(PQcmdTuples(result)) == copied, "W9");
    PQclear(result);
    PQclear(PQgetResult(connection));
}

static void copy_out(long turn) {
    (void)turn;
    PQclear(expect(
        PQexec(connection,
               "copy (select id, name, moment from kornak_bench.event) to stdout (format binary)"),
        PGRES_COPY_OUT));
    int64_t rows = 0, ids = 0, last = 0;
    char *row;
    int length;
    while ((length = PQgetCopyData(connection, &row, 0)) > 0) {
        /* The header lies before the first row; behind the last one is -1. */
        const char *at = length > 19 && !memcmp(row, "PGCOPY", 6) ? row + 19 : row;
        uint32_t id, size;
        uint64_t moment_us;
        if (!memcmp(at, "\0\003", 2)) {
            memcpy(&id, at + 6, 4);
            memcpy(&size, at + 10, 4);
            char *name = malloc(ntohl(size));
            memcpy(name, at + 14, ntohl(size));
            memcpy(&moment_us, at + 14 + ntohl(size) + 4, 8);
            rows++;
            ids += (int32_t)ntohl(id);
            last = (int64_t)__builtin_bswap64(moment_us);
            check(name[0] == 'n', "W9");
            free(name);
        }
        PQfreemem(row);
    }
    PQclear(expect(PQgetResult(connection), PGRES_COMMAND_OK));
    PQclear(PQgetResult(connection));
    check(rows == copied && ids == rows * (rows + 1) / 2 &&
              last == FIRST_MOMENT_US + rows * BETWEEN_MOMENTS_US,
          "W9");
}

static void stream(long turn) {
    (void)turn;
    uint64_t wire = __builtin_bswap64((uint64_t)stream_rows);
    const char *values[] = {(const char *)&wire};
    int lengths[] = {8}, formats[] = {1};
    if (!PQsendQueryPrepared(connection, "stream", 1, values, lengths, formats, 1) ||
        !PQsetSingleRowMode(connection))
        fail("a stream", PQerrorMessage(connection));
    int64_t rows = 0, ids = 0, bytes = 0;
    double sum = 0;
    PGresult *result;
    while ((result = PQgetResult(connection))) {
        if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
            rows++;
            ids += int8(result, 0, 0);
            bytes += PQgetlength(result, 0, 1);
            sum += float8(result, 0, 2);
        } else {
            expect(result, PGRES_TUPLES_OK);
        }
        PQclear(result);
    }
    check(rows == stream_rows && ids == rows * (rows + 1) / 2 && bytes > rows * 5 && sum > 0, "W10");
}

static void connect_and_ask(long turn) {
    (void)turn;
    PGconn *made = open_connection();
    PGresult *result =
        expect(PQexecParams(made, "select 1", 0, NULL, NULL, NULL, NULL, 1), PGRES_TUPLES_OK);
    check(int4(result, 0, 0) == 1, "W11");
    PQclear(result);
    PQfinish(made);
}

static const struct {
    const char *name;
    void (*once)(long turn);
} WORKS[] = {
    {"w1-select-1", select_one},
    {"w2-lookup", lookup},
    {"w3-wide", wide},
    {"w4-integers", integers},
    {"w5-blobs-borrowed", blobs_borrowed},
    {"w5-blobs-owned", blobs_owned},
    {"w6-arrays", arrays},
    {"w7-pipeline-each", pipeline_each},
    {"w7-pipeline-one", pipeline_one},
    {"w8-inserts", inserts},
    {"w9-copy-in", copy_in},
    {"w9-copy-out", copy_out},
    {"w10-visit", stream},
    {"w10-stream", stream},
    {"w11-connect", connect_and_ask},
    {"w12-far", far},
    {"w12-far-one-by-one", far_one_by_one},
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct rusage usage(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage;
}

static double cpu(void) {
    struct rusage used = usage();
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int count, char **arguments) {
    if (count != 12) fail("usage", "see the source");
    void (*once)(long) = NULL;
    for (size_t index = 0; index < sizeof WORKS / sizeof *WORKS; index++)
        if (!strcmp(WORKS[index].name, arguments[7])) once = WORKS[index].once;
    if (!once || strcmp(arguments[8], "0")) {
        puts("null");
        return 0;
    }
    double seconds = atof(arguments[9]);
    stream_rows = atol(arguments[10]);
    copied = atol(arguments[11]);
    events = calloc((size_t)copied, sizeof *events);
    for (long row = 0; row < copied; row++) {
        events[row].id = htonl((uint32_t)row + 1);
        snprintf(events[row].name, sizeof events[row].name, "name %ld", row + 1);
        int64_t moment_us = FIRST_MOMENT_US + (row + 1) * BETWEEN_MOMENTS_US;
        events[row].moment_us = __builtin_bswap64((uint64_t)moment_us);
    }
    char text[2048];
    int is_tls = strcmp(arguments[6], "-");
    snprintf(text, sizeof text,
             "host='%s' port='%s' user='%s' password='%s' dbname='%s' sslmode=%s sslrootcert='%s'",
             arguments[1], arguments[2], arguments[3], arguments[4], arguments[5],
             is_tls ? "verify-full" : "disable", is_tls ? arguments[6] : "");
    conninfo = text;
    for (int row = 0; row < ROWS; row++) {
        double value = (row + 1) / 4.0;
        uint64_t bits;
        memcpy(&bits, &value, 8);
        insert_ids[row] = (int64_t)__builtin_bswap64((uint64_t)row + 1);
        snprintf(insert_names[row], sizeof insert_names[row], "name %d", row + 1);
        insert_values[row] = __builtin_bswap64(bits);
    }
    connection = open_connection();
    long idle_kib = usage().ru_maxrss;
    prepare("one", "select 1", 0, NULL);
    prepare("lookup", "select id, random_number from kornak_bench.world where id = $1", 1, (Oid[]){23});
    prepare("wide",
            "select typname, typnamespace, typowner, typlen, typbyval, typcategory, "
            "typispreferred, typisdefined, typdelim, typrelid, typelem, typarray from "
            "kornak_bench.types",
            0, NULL);
    prepare("integers", "select n from kornak_bench.integers order by n", 0, NULL);
    prepare("blobs", "select body from kornak_bench.blobs", 0, NULL);
    prepare("arrays", "select body from kornak_bench.arrays order by id", 0, NULL);
    prepare("stream", "select id, name, value from kornak_bench.stream where id <= $1", 1, (Oid[]){20});
    prepare("insert", "insert into kornak_bench.sink (id, name, value) values ($1, $2, $3)", 3,
            (Oid[]){20, 25, 701});
    long turn = 0;
    double warm = now();
    do once(++turn);
    while (now() - warm < seconds / 5);
    size_t capacity = 1 << 16, done = 0;
    double *times = malloc(capacity * sizeof *times);
    double begun = now(), busy = cpu();
    long waits = usage().ru_nvcsw;
    do {
        double start = now();
        once(++turn);
        if (done == capacity) times = realloc(times, (capacity *= 2) * sizeof *times);
        times[done++] = now() - start;
    } while (now() - begun < seconds);
    double elapsed = now() - begun;
    busy = cpu() - busy;
    waits = usage().ru_nvcsw - waits;
    qsort(times, done, sizeof *times, ascending);
    printf("{\"per_second\": %f, \"p50_us\": %f, \"p99_us\": %f, \"cpu_us\": %f, "
           "\"waits\": %f, \"peak_kib\": %ld, \"grown_kib\": %ld}\n",
           (double)done / elapsed, times[(done - 1) / 2] * 1e6, times[(done - 1) * 99 / 100] * 1e6,
           busy * 1e6 / (double)done, (double)waits / (double)done, usage().ru_maxrss,
           usage().ru_maxrss - idle_kib);
    PQfinish(connection);
    return 0;
}
