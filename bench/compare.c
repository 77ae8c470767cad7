/* SPDX-License-Identifier: Apache-2.0 */
/* compare.c - see compare.h. */
#include "compare.h"
#include <stdio.h>
#include <string.h>

static double mean_magnitude(int64_t n, const double *a)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs(a[i]);
    return n > 0 ? sum / (double)n : 0.0;
}

static double distance(double a, double b, double scale)
{
    if (a == b)
        return 0.0;
    const double d = fabs(a - b) / fmax(fmax(fabs(a), fabs(b)), scale);
    return isfinite(d) ? d : INFINITY;
}

double compare_arrays(int64_t n, const double *a, const double *b)
{
    const double scale = mean_magnitude(n, b);
    double worst = 0.0;
    for (int64_t i = 0; i < n; i++)
        worst = fmax(worst, distance(a[i], b[i], scale));
    return worst;
}

double compare_sparse(const sparse_view *a, const sparse_view *b)
{
    const double scale = mean_magnitude(b->start[b->cols], b->val);
    double worst = 0.0;
    for (int64_t j = 0; j < b->cols; j++) {
        int64_t k = a->start[j], l = b->start[j];
        while (k < a->start[j + 1] || l < b->start[j + 1]) {
            const int64_t row_a = k < a->start[j + 1] ? a->index[k] : INT64_MAX;
            const int64_t row_b = l < b->start[j + 1] ? b->index[l] : INT64_MAX;
            const double x = row_a <= row_b ? a->val[k++] : 0.0, y = row_b <= row_a ? b->val[l++] : 0.0;
            worst = fmax(worst, distance(x, y, scale));
        }
    }
    return worst;
}

static void add(double a, double v, double *product, double *size)
{
    *product += a * v;
    *size += fabs(a * v);
}

double compare_product(const sparse_view *a, bool symmetric, const double *v, int64_t rows, const double *want, double *product,
                       double *size)
{
    memset(product, 0, (size_t)rows * sizeof *product);
    memset(size, 0, (size_t)rows * sizeof *size);
    for (int64_t j = 0; j < a->cols; j++)
        for (int64_t k = a->start[j]; k < a->start[j + 1]; k++) {
            const int64_t i = a->index[k];
            add(a->val[k], v[j], &product[i], &size[i]);
            if (symmetric && i != j)
                add(a->val[k], v[i], &product[j], &size[j]);
        }
    const double scale = mean_magnitude(rows, want);
    double worst = 0.0;
    for (int64_t i = 0; i < rows; i++)
        worst = fmax(worst, distance(product[i], want[i], fmax(size[i], scale)));
    return worst;
}

/* ---- data ------------------------------------------------------------------------------------------------------------------------ */

void data_free(family_data *data)
{
    if (data == NULL)
        return;
    for (int64_t k = 0; k < data->count && data->at != NULL; k++)
        free((void *)data->at[k]);
    free((void *)data->at);
    free((void *)data->length);
    free(data);
}

static bool read_arrays(FILE *file, int64_t count, int64_t *length, double **at)
{
    for (int64_t k = 0; k < count; k++) {
        if (fread(&length[k], sizeof *length, 1, file) != 1)
            return false;
        at[k] = calloc((size_t)length[k] + 1, sizeof **at);
        if (at[k] == NULL || fread(at[k], sizeof **at, (size_t)length[k], file) != (size_t)length[k])
            return false;
    }
    return true;
}

static bool read_all(FILE *file, family_data *data)
{
    if (fread(&data->count, sizeof data->count, 1, file) != 1)
        return false;
    int64_t *length = calloc((size_t)data->count + 1, sizeof *length);
    double **at = calloc((size_t)data->count + 1, sizeof *at);
    data->length = length;
    data->at = (const double *const *)at;
    return length != NULL && at != NULL && read_arrays(file, data->count, length, at);
}

family_data *data_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    family_data *data = calloc(1, sizeof *data);
    const bool ok = file != NULL && data != NULL && read_all(file, data);
    if (file != NULL)
        fclose(file);
    if (ok)
        return data;
    data_free(data);
    return NULL;
}
