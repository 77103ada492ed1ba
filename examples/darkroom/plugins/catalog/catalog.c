/* The catalog: a table in an SQLite database. */
#include "darkroom_catalog.h"
#include "host_log.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

LATEBIND_PLUGIN("darkroom.catalog", "1.0.0")
LATEBIND_PROVIDES(darkroom_catalog)
LATEBIND_REQUIRES(host_log)

static sqlite3 *database;

static lb_status failed(lb_context *ctx)
{
    return lb_fail(ctx, "SQLite: %s", sqlite3_errmsg(database));
}

/* A statement with its parameters from ?1 on bound to text; null, with the failure told, where it cannot be made. */
static sqlite3_stmt *prepared(lb_context *ctx, const char *sql, lb_str text)
{
    sqlite3_stmt *statement;

    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_bind_text64(statement, 1, text.data, text.size, SQLITE_TRANSIENT, SQLITE_UTF8) != SQLITE_OK) {
        failed(ctx);
        sqlite3_finalize(statement);
        return NULL;
    }
    return statement;
}

/* Open the database that the configuration names; SQLite itself reads the JSON. */
static lb_status opened(lb_context *ctx, lb_str config)
{
    static const char table[] = "CREATE TABLE IF NOT EXISTS pictures (name TEXT PRIMARY KEY, width INTEGER,"
                                " height INTEGER, size INTEGER, packed INTEGER)";
    sqlite3_stmt *path;
    int status;

    if (sqlite3_open(":memory:", &database) != SQLITE_OK)
        return failed(ctx);
    path = prepared(ctx, "SELECT json_extract(?1, '$.path')", config);
    if (!path)
        return LB_FAILED;
    if (sqlite3_step(path) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(path, 0), ":memory:")) {
        sqlite3 *file;

        status = sqlite3_open((const char *)sqlite3_column_text(path, 0), &file);
        sqlite3_finalize(path);
        sqlite3_close(database);
        database = file;
        if (status != SQLITE_OK)
            return failed(ctx);
    } else {
        sqlite3_finalize(path);
    }
    sqlite3_busy_timeout(database, 10000); /* milliseconds: while a reload lasts, two of us have it open */
    return sqlite3_exec(database, table, NULL, NULL, NULL) == SQLITE_OK ? LB_OK : failed(ctx);
}

lb_status lb_init(lb_context *ctx, lb_str config)
{
    lb_status status = opened(ctx, config);

    if (status == LB_OK)
        return host_log_info(ctx, lb_text("the catalog is open"));
    sqlite3_close(database);
    database = NULL;
    return status;
}

lb_status lb_fini(lb_context *ctx)
{
    return sqlite3_close(database) == SQLITE_OK ? LB_OK : failed(ctx);
}

lb_status darkroom_catalog_add(lb_context *ctx, const darkroom_catalog_Entry *entry, int64_t *result)
{
    sqlite3_stmt *insert = prepared(ctx, "INSERT OR REPLACE INTO pictures VALUES (?1, ?2, ?3, ?4, ?5)", entry->name);
    sqlite3_stmt *count;
    int status;

    if (!insert)
        return LB_FAILED;
    sqlite3_bind_int64(insert, 2, entry->width);
    sqlite3_bind_int64(insert, 3, entry->height);
    sqlite3_bind_int64(insert, 4, entry->size);
    sqlite3_bind_int64(insert, 5, entry->packed);
    status = sqlite3_step(insert);
    sqlite3_finalize(insert);
    if (status != SQLITE_DONE)
        return failed(ctx);
    count = prepared(ctx, "SELECT count(*) FROM pictures WHERE ?1 = ''", lb_text(""));
    if (!count)
        return LB_FAILED;
    status = sqlite3_step(count);
    *result = sqlite3_column_int64(count, 0);
    sqlite3_finalize(count);
    return status == SQLITE_ROW ? LB_OK : failed(ctx);
}

struct darkroom_catalog_find_iterator {
    sqlite3_stmt *rows;
};

lb_status darkroom_catalog_find(lb_context *ctx, lb_str pattern, darkroom_catalog_find_iterator **result)
{
    darkroom_catalog_find_iterator *made = malloc(sizeof *made);

    if (!made)
        return lb_fail(ctx, "no memory");
    made->rows = prepared(ctx, "SELECT * FROM pictures WHERE name GLOB ?1 ORDER BY name", pattern);
    if (!made->rows) {
        free(made);
        return LB_FAILED;
    }
    *result = made;
    return LB_OK;
}

lb_status darkroom_catalog_find_next(lb_context *ctx, darkroom_catalog_find_iterator *self, darkroom_catalog_Entry *item)
{
    int status = sqlite3_step(self->rows);

    if (status == SQLITE_DONE)
        return LB_END;
    if (status != SQLITE_ROW)
        return failed(ctx);
    item->name.data = (const char *)sqlite3_column_text(self->rows, 0); /* it stays until the next step */
    item->name.size = (size_t)sqlite3_column_bytes(self->rows, 0);
    item->width = (uint32_t)sqlite3_column_int64(self->rows, 1);
    item->height = (uint32_t)sqlite3_column_int64(self->rows, 2);
    item->size = sqlite3_column_int64(self->rows, 3);
    item->packed = sqlite3_column_int64(self->rows, 4);
    return LB_OK;
}

lb_status darkroom_catalog_find_close(lb_context *ctx, darkroom_catalog_find_iterator *self)
{
    (void)ctx;
    sqlite3_finalize(self->rows);
    free(self);
    return LB_OK;
}
