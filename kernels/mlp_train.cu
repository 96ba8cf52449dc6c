// The training of a small network for points of the plane (MlpDenoiser), many steps in one launch. A step draws points of a mixture of
// Gaussians, noises them, runs the network forward and backward, clips the gradients by their norm, and takes a step of AdamW and of the
// moving average: what otherwise is some sixty kernels a step, with the same random numbers.
//
// Shapes: x_t[batch, 2] -> [batch, 2]; `layers` hidden layers of WIDTH (32, 64, 128 or 256, compiled in). All parameters lie in one arena
// of `length` floats, each at a multiple of 16; gradients, moments and average lie in arenas of the same layout.
// Launch: 256 threads; dynamic shared memory for a Tile; at most as many blocks as the device runs at a time, since they wait for each
// other, and at most `parts`. Whatever the grid, the bits are the same: the batch is cut into tiles of 8 samples and these into parts, at
// most 64, by its size alone, and all sums have a fixed order. The thirds of a step:
//   1. A block takes a part: forward and backward for its tiles; writes the part's gradient for all parameters.    All blocks wait.
//   2. A block takes pieces of 256 parameters: adds the parts up, in order; writes the sums and the sum of their squares.   They wait.
//   3. Each block adds up the squares; its threads take parameters: AdamW, average; weights are written turned, too.   They wait.
// A step whose loss or norm is not finite ends the launch before it changes anything.
// Bytes per step: for each part the weights, those between hidden layers twice, and 8 length for its gradient, written and read; for
// all 40 length by the update. 43 MB for batch 512, width 128, 3 layers; all of it stays in the L2 cache (14 MB are in use).
// Flops per sample: 6 for a weight between hidden layers, 4 for one of the time or the first layer: 110 MFLOP for such a batch.
// Limit: the L2 cache: a weight that comes is used for 8 samples, and 64 blocks fetch it. More samples in a tile would leave more
// multiprocessors idle, fewer would make more gradients to add up. Beside it the three waits, each the way to the L2 cache and back twice.
#include "common.cuh"
#include "grid.cuh"
#include "math.cuh"
#include "mlp_train.cuh"
#include "philox.cuh"

__device__ __forceinline__ float4 four(float x) { return make_float4(x, x, x, x); }
__device__ __forceinline__ float4 operator+(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }
__device__ __forceinline__ float4 operator*(float4 a, float4 b) { return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w); }
// silu(x) and its derivative (math.cuh), which have their exponential in common. 1 - sigmoid(x) may cancel where it is next to nothing
// beside the 1 that it is added to.
__device__ __forceinline__ void activate(float x, float& value, float& slope)
{
    float sigma = sigmoid(x);
    value = x * sigma;
    slope = sigma * (1 + x * (1 - sigma));
}

__device__ __forceinline__ void add_product(float4& sum, float a, float4 b)
{
    sum.x += a * b.x;
    sum.y += a * b.y;
    sum.z += a * b.z;
    sum.w += a * b.w;
}

__device__ __forceinline__ bool is_finite(float x) { return x - x == 0; }

// Sample `sample` of the stream: GaussianMixture.Point, in float64 as there, so that both draw the same points.
__device__ __forceinline__ float2 draw_point(const MlpTrainArguments& a, unsigned long long sample)
{
    uint4 r = philox_block(a.data, sample);
    int k = 0;
    while (r.x * 2.3283064365386963e-10 >= a.components[k].cumulative)
        k++;
    double radius = sqrt(-2 * log((r.y + 1.0) * 2.3283064365386963e-10));
    double sine, cosine;
    sincospi(2 * (r.z * 2.3283064365386963e-10), &sine, &cosine);
    MlpTrainComponent c = a.components[k];
    return make_float2(c.x + c.deviation * (radius * cosine), c.y + c.deviation * (radius * sine));
}

// Draws what is random about the 8 samples from `row` of the batch on; those beyond its end are drawn, too, and count for nothing.
// Sample i takes normals 2 i and 2 i + 1 of the noise stream behind the one block that the times take.
__device__ __forceinline__ void draw(const MlpTrainArguments& a, const MlpTrainStep& s, int row, Tile& tile)
{
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (lane >= ROWS || warp > 1)
        return;
    row += lane;
    if (warp == 0)
    {
        float2 point = draw_point(a, s.first_sample + row);
        tile.x0[2 * lane] = point.x;
        tile.x0[2 * lane + 1] = point.y;
        return;
    }
    // Evenly spread times with one random start for all: DiscreteSchedule.DrawSteps.
    double start = (philox_block(a.noise, s.noise_offset).x >> 8) * 5.9604644775390625e-8;
    tile.time[lane] = min((int)(a.times * (row + start) / a.batch), a.times - 1);
    uint4 r = philox_block(a.noise, s.noise_offset + 1 + row / 2);
    float2 normals = row % 2 == 0 ? box_muller(r.x, r.y) : box_muller(r.z, r.w);
    tile.noise[2 * lane] = normals.x;
    tile.noise[2 * lane + 1] = normals.y;
}

// y[8, WIDTH] = x[8, depth] b[depth, WIDTH], x in shared memory with rows of WIDTH, b in global. A thread sums 8 rows of 4 columns over
// a slice of the depth: a weight goes from the cache to the one warp that needs it. The slices are added up through the scratch, those of
// the second half first onto those of the first. finish(at, i, y) then has y[4 i] to y[4 i + 3], the at-th such four of the thread.
template <class Finish>
__device__ __forceinline__ void product(const float* x, const float* b, int depth, float* scratch, Finish finish)
{
    const int SLICES = THREADS / QUADS;
    int quad = threadIdx.x % QUADS, slice = threadIdx.x / QUADS;
    int each = (depth + 4 * SLICES - 1) / (4 * SLICES) * 4, first = slice * each, last = min(depth, first + each);
    float4 sum[ROWS];
#pragma unroll
    for (int row = 0; row < ROWS; row++)
        sum[row] = four(0);
#pragma unroll 2
    for (int k = first; k < last; k += 4)
    {
        const float* at = b + k * WIDTH + 4 * quad;
        float4 b0 = fresh_four(at), b1 = fresh_four(at + WIDTH), b2 = fresh_four(at + 2 * WIDTH), b3 = fresh_four(at + 3 * WIDTH);
#pragma unroll
        for (int row = 0; row < ROWS; row++)
        {
            float4 value = *(const float4*)(x + row * WIDTH + k);
            add_product(sum[row], value.x, b0);
            add_product(sum[row], value.y, b1);
            add_product(sum[row], value.z, b2);
            add_product(sum[row], value.w, b3);
        }
    }
    float4* parts = (float4*)scratch + slice % (SLICES / 2) * ROWS * QUADS + quad;
    if (slice >= SLICES / 2)
    {
#pragma unroll
        for (int row = 0; row < ROWS; row++)
            parts[row * QUADS] = sum[row];
    }
    __syncthreads();
    if (slice < SLICES / 2)
    {
#pragma unroll
        for (int row = 0; row < ROWS; row++)
            parts[row * QUADS] = sum[row] + parts[row * QUADS];
    }
    __syncthreads();
#pragma unroll
    for (int at = 0; at < OWN; at++)
    {
        int i = threadIdx.x + at * THREADS;
        if (i >= ROWS * QUADS)
            break;
        float4 y = ((float4*)scratch)[i];
#pragma unroll
        for (int other = 1; other < SLICES / 2; other++)
            y = y + ((float4*)scratch)[other * ROWS * QUADS + i];
        finish(at, i, y);
    }
}

// Of a part's gradient: the first tile of the part sets it, the others add to it.
__device__ __forceinline__ void give(float* to, float value, bool adds) { *to = adds ? *to + value : value; }
__device__ __forceinline__ void give(float* to, float4 value, bool adds) { *(float4*)to = adds ? *(float4*)to + value : value; }

// g[WIDTH, columns] = sum over rows of gy[row, WIDTH] x[row, columns], rows of WIDTH in shared memory. A thread holds SIDE x 4 PIECES elements; of its columns the
// pieces lie far apart, so that a warp writes whole lines.
template <int SIDE, int PIECES>
__device__ __forceinline__ void weight_gradient(const float* gy, const float* x, int columns, float* g, bool adds)
{
    int across = columns / (4 * PIECES);
    for (int at = threadIdx.x; at < WIDTH / SIDE * across; at += THREADS)
    {
        int first = at / across * SIDE, column = at % across * 4;
        float4 sum[SIDE][PIECES];
#pragma unroll
        for (int i = 0; i < SIDE; i++)
#pragma unroll
            for (int piece = 0; piece < PIECES; piece++)
                sum[i][piece] = four(0);
#pragma unroll 2
        for (int row = 0; row < ROWS; row++)
        {
            float4 value[PIECES];
#pragma unroll
            for (int piece = 0; piece < PIECES; piece++)
                value[piece] = *(const float4*)(x + row * WIDTH + piece * 4 * across + column);
#pragma unroll
            for (int i = 0; i < SIDE; i += 4)
            {
                float4 factor = *(const float4*)(gy + row * WIDTH + first + i);
#pragma unroll
                for (int piece = 0; piece < PIECES; piece++)
                {
                    add_product(sum[i][piece], factor.x, value[piece]);
                    add_product(sum[i + 1][piece], factor.y, value[piece]);
                    add_product(sum[i + 2][piece], factor.z, value[piece]);
                    add_product(sum[i + 3][piece], factor.w, value[piece]);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < SIDE; i++)
#pragma unroll
            for (int piece = 0; piece < PIECES; piece++)
                give(g + (first + i) * columns + piece * 4 * across + column, sum[i][piece], adds);
    }
}

__device__ __forceinline__ void bias_gradient(const float* gy, float* g, bool adds)
{
    for (int column = threadIdx.x; column < WIDTH; column += THREADS)
    {
        float sum = 0;
#pragma unroll
        for (int row = 0; row < ROWS; row++)
            sum += gy[row * WIDTH + column];
        give(g + column, sum, adds);
    }
}

// The gradient of a layer between x[8, 2] or error[8, 2] and WIDTH: g[column * step_column + d * step_d].
__device__ __forceinline__ void narrow_gradient(const float* narrow, const float* wide, float* g, int step_column, int step_d, bool adds)
{
    for (int at = threadIdx.x; at < 2 * WIDTH; at += THREADS)
    {
        int column = at % WIDTH, d = at / WIDTH;
        float sum = 0;
#pragma unroll
        for (int row = 0; row < ROWS; row++)
            sum += narrow[2 * row + d] * wide[row * WIDTH + column];
        give(g + column * step_column + d * step_d, sum, adds);
    }
}

// Forward and backward for the 8 samples from `row` on, whose random numbers are drawn; adds to the part's gradient and loss.
__device__ __forceinline__ void pass(const MlpTrainArguments& a, int row, Tile& tile, float* g, float* part_loss, bool adds)
{
    const int SIDE = WIDTH >= 128 ? 8 : 4, PIECES = WIDTH >= 128 ? 2 : 1, SIZE = ROWS * WIDTH;
    __syncthreads();
    if (threadIdx.x < 2 * ROWS)
    {
        int i = threadIdx.x, time = tile.time[i / 2];
        float alpha = a.alpha[time], sigma = a.sigma[time], x0 = tile.x0[i], noise = tile.noise[i];
        tile.xt[i] = alpha * x0 + sigma * noise;
        tile.target[i] = a.target == 0 ? noise : a.target == 1 ? x0 : alpha * noise - sigma * x0;
    }
    for (int i = threadIdx.x; i < ROWS * a.time_width; i += THREADS)
        tile.embedding[i / a.time_width * WIDTH + i % a.time_width] = a.embedding[tile.time[i / a.time_width] * a.time_width + i % a.time_width];
    __syncthreads();

    // Forward. x W^T takes the turned weights, since neighbouring threads have neighbouring columns. The first of the products is the
    // projection of the time; the first layer has so short a sum that it needs none.
    const float* weight = a.turned;
    for (int layer = 0; layer < a.layers; layer++)
    {
        const float* bias = a.parameter + a.hidden_bias[layer];
        int depth = layer == 0 ? a.time_width : WIDTH;
        product(layer == 0 ? tile.embedding : tile.value + (layer - 1) * SIZE, weight, depth, tile.scratch, [&](int, int i, float4 y)
        {
            int column = i % QUADS * 4, sample = i / QUADS;
            if (layer == 0)
            {
                y = y + fresh_four(a.parameter + a.time_bias + column);
                ((float4*)tile.flow)[i] = y;
                const float* first = a.parameter + a.hidden_weight[0] + 2 * column;
                float4 w01 = fresh_four(first), w23 = fresh_four(first + 4);
                add_product(y, tile.xt[2 * sample], make_float4(w01.x, w01.z, w23.x, w23.z));
                add_product(y, tile.xt[2 * sample + 1], make_float4(w01.y, w01.w, w23.y, w23.w));
            }
            else
                y = y + ((float4*)tile.flow)[i];
            y = y + fresh_four(bias + column);
            float4 value, slope;
            activate(y.x, value.x, slope.x);
            activate(y.y, value.y, slope.y);
            activate(y.z, value.z, slope.z);
            activate(y.w, value.w, slope.w);
            ((float4*)(tile.value + layer * SIZE))[i] = value;
            ((float4*)(tile.slope + layer * SIZE))[i] = slope;
        });
        weight += depth * WIDTH;
        __syncthreads();
    }

    // The answer, a warp for each sample, and its error.
    const float* last = tile.value + (a.layers - 1) * SIZE;
    const float* output = a.parameter + a.output_weight;
    {
        int sample = threadIdx.x / 32;
        float first = 0, second = 0;
        for (int k = threadIdx.x % 32; k < WIDTH; k += 32)
        {
            float value = last[sample * WIDTH + k];
            first += value * fresh(output + k);
            second += value * fresh(output + WIDTH + k);
        }
        first = warp_reduce<Sum>(first) + fresh(a.parameter + a.output_bias);
        second = warp_reduce<Sum>(second) + fresh(a.parameter + a.output_bias + 1);
        if (threadIdx.x % 32 == 0)
        {
            bool counts = row + sample < a.batch;
            first = counts ? first - tile.target[2 * sample] : 0;
            second = counts ? second - tile.target[2 * sample + 1] : 0;
            // The loss is the mean over 2 batch squares.
            tile.error[2 * sample] = first / a.batch;
            tile.error[2 * sample + 1] = second / a.batch;
            tile.sums[sample] = first * first + second * second;
        }
    }
    __syncthreads();

    // Backward.
    float4 time_gradient[OWN];
#pragma unroll
    for (int at = 0; at < OWN; at++)
    {
        int i = threadIdx.x + at * THREADS;
        if (i >= ROWS * QUADS)
            continue;
        float4 gradient = four(0);
        add_product(gradient, tile.error[i / QUADS * 2], fresh_four(output + i % QUADS * 4));
        add_product(gradient, tile.error[i / QUADS * 2 + 1], fresh_four(output + WIDTH + i % QUADS * 4));
        gradient = gradient * ((float4*)(tile.slope + (a.layers - 1) * SIZE))[i];
        time_gradient[at] = gradient;
        ((float4*)tile.flow)[i] = gradient;
    }
    narrow_gradient(tile.error, last, g + a.output_weight, 1, WIDTH, adds);
    if (threadIdx.x < 2)
    {
        float sum = 0;
        for (int sample = 0; sample < ROWS; sample++)
            sum += tile.error[2 * sample + threadIdx.x];
        give(g + a.output_bias + threadIdx.x, sum, adds);
    }
    else if (threadIdx.x == 2)
    {
        float sum = 0;
        for (int sample = 0; sample < ROWS; sample++)
            sum += tile.sums[sample];
        give(part_loss, sum, adds);
    }
    __syncthreads();
    for (int layer = a.layers - 1; layer > 0; layer--)
    {
        weight_gradient<SIDE, PIECES>(tile.flow, tile.value + (layer - 1) * SIZE, WIDTH, g + a.hidden_weight[layer], adds);
        bias_gradient(tile.flow, g + a.hidden_bias[layer], adds);
        product(tile.flow, a.parameter + a.hidden_weight[layer], WIDTH, tile.scratch, [&](int at, int i, float4 y)
        {
            float4 gradient = y * ((float4*)(tile.slope + (layer - 1) * SIZE))[i];
            time_gradient[at] = time_gradient[at] + gradient;
            ((float4*)tile.flow)[i] = gradient;
        });
        __syncthreads();
    }
    narrow_gradient(tile.xt, tile.flow, g + a.hidden_weight[0], 2, 1, adds);
    bias_gradient(tile.flow, g + a.hidden_bias[0], adds);
#pragma unroll
    for (int at = 0; at < OWN; at++)
    {
        int i = threadIdx.x + at * THREADS;
        if (i < ROWS * QUADS)
            ((float4*)tile.scratch)[i] = time_gradient[at];
    }
    __syncthreads();
    weight_gradient<4, 1>(tile.scratch, tile.embedding, a.time_width, g + a.time_weight, adds);
    bias_gradient(tile.scratch, g + a.time_bias, adds);
}

// Adds the parts' gradients up, four groups of parts side by side, and the squares of the sums for the norm.
__device__ __forceinline__ void gather(const MlpTrainArguments& a, float* scratch, float* sums)
{
    const int COLUMNS = PIECE / 4, GROUPS = THREADS / COLUMNS;
    int column = threadIdx.x % COLUMNS, group = threadIdx.x / COLUMNS;
    int each = (a.parts + GROUPS - 1) / GROUPS, first = group * each, last = min(a.parts, first + each);
    for (int piece = blockIdx.x; piece * PIECE < a.length; piece += gridDim.x)
    {
        int i = piece * PIECE + 4 * column;
        float4 sum = four(0);
        if (i < a.length)
        {
#pragma unroll 8
            for (int part = first; part < last; part++)
                sum = sum + fresh_four(a.part_gradient + (size_t)part * a.length + i);
        }
        ((float4*)scratch)[threadIdx.x] = sum;
        __syncthreads();
        if (group == 0)
        {
#pragma unroll
            for (int other = 1; other < GROUPS; other++)
                sum = sum + ((float4*)scratch)[other * COLUMNS + column];
            if (i < a.length)
                *(float4*)(a.gradient + i) = sum;
            float squares = warp_reduce<Sum>(sum.x * sum.x + sum.y * sum.y + sum.z * sum.z + sum.w * sum.w);
            if (column % 32 == 0)
                sums[column / 32] = squares;
        }
        __syncthreads();
        if (threadIdx.x == 0)
            a.squares[piece] = sums[0] + sums[1];
    }
}

// Writes the four weights from i on where the forward pass reads them, if it does.
__device__ __forceinline__ void turn(const MlpTrainArguments& a, int i, float4 weights)
{
    float* to = a.turned;
    int columns = a.time_width, at = i - a.time_weight;
    if (at < 0 || at >= WIDTH * columns)
    {
        to += columns * WIDTH;
        columns = WIDTH;
        int layer = 1;
        for (; layer < a.layers; layer++)
        {
            at = i - a.hidden_weight[layer];
            if (at >= 0 && at < WIDTH * WIDTH)
                break;
            to += WIDTH * WIDTH;
        }
        if (layer == a.layers)
            return;
    }
    to += at % columns * WIDTH + at / columns;
    to[0] = weights.x;
    to[WIDTH] = weights.y;
    to[2 * WIDTH] = weights.z;
    to[3 * WIDTH] = weights.w;
}

__device__ __forceinline__ void adamw(const MlpTrainStep& s, float factor, float gradient, float& parameter, float& m, float& v)
{
    float g = factor * gradient + s.l2 * parameter;
    m += s.rate1 * (g - m);
    v += s.rate2 * (g * g - v);
    parameter = s.keep * parameter - s.step_size * m / (sqrtf(v) * s.root_scale + s.epsilon);
}

__device__ __forceinline__ void update(const MlpTrainArguments& a, const MlpTrainStep& s, float norm)
{
    float factor = s.max_norm / (norm + 1e-6f);
    factor = factor > 1 ? 1 : factor;
    for (int i = 4 * element_index(); i < a.length; i += 4 * THREADS * gridDim.x)
    {
        float4 g = fresh_four(a.gradient + i), p = *(float4*)(a.parameter + i), m = *(float4*)(a.m + i), v = *(float4*)(a.v + i);
        adamw(s, factor, g.x, p.x, m.x, v.x);
        adamw(s, factor, g.y, p.y, m.y, v.y);
        adamw(s, factor, g.z, p.z, m.z, v.z);
        adamw(s, factor, g.w, p.w, m.w, v.w);
        *(float4*)(a.parameter + i) = p;
        *(float4*)(a.m + i) = m;
        *(float4*)(a.v + i) = v;
        turn(a, i, p);
        if (a.average != nullptr)
        {
            float4 average = *(float4*)(a.average + i);
            average.x += s.average_rate * (p.x - average.x);
            average.y += s.average_rate * (p.y - average.y);
            average.z += s.average_rate * (p.z - average.z);
            average.w += s.average_rate * (p.w - average.w);
            *(float4*)(a.average + i) = average;
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 1) mlp_train_f32(const MlpTrainArguments a)
{
    extern __shared__ float4 memory[];
    Tile tile((float*)memory, a.layers);
    unsigned rounds = 0;
    for (int i = 4 * element_index(); i < a.length; i += 4 * THREADS * gridDim.x)
        turn(a, i, *(float4*)(a.parameter + i));
    arrive(a.arrived);
    for (int step = 0; step < a.step_count; step++)
    {
        const MlpTrainStep s = a.steps[step];
        bool here = false;
        for (int part = blockIdx.x; part < a.parts; part += gridDim.x)
        {
            for (int row = part * ROWS; row < a.batch; row += a.parts * ROWS)
            {
                draw(a, s, row, tile);
                // The first tile is drawn while the others come.
                if (!here)
                    wait(a.arrived, rounds);
                here = true;
                pass(a, row, tile, a.part_gradient + (size_t)part * a.length, a.part_loss + part, row != part * ROWS);
                __syncthreads();
            }
        }
        arrive(a.arrived);
        wait(a.arrived, rounds);
        gather(a, tile.scratch, tile.sums);
        arrive(a.arrived);
        wait(a.arrived, rounds);
        // Two warps add up what every block needs, each in an order of its own.
        int warp = threadIdx.x / 32;
        if (warp < 2)
        {
            const float* from = warp == 0 ? a.squares : a.part_loss;
            int count = warp == 0 ? (a.length + PIECE - 1) / PIECE : a.parts;
            float sum = 0;
            for (int i = threadIdx.x % 32; i < count; i += 32)
                sum += fresh(from + i);
            sum = warp_reduce<Sum>(sum);
            if (threadIdx.x % 32 == 0)
                tile.sums[warp] = sum;
        }
        __syncthreads();
        float norm = sqrtf(tile.sums[0]), loss = tile.sums[1] / (2 * a.batch);
        if (blockIdx.x == 0 && threadIdx.x == 0)
        {
            a.norms[step] = norm;
            a.losses[step] = loss;
        }
        // The same for all threads of all blocks.
        if (!is_finite(norm) || !is_finite(loss))
            return;
        update(a, s, norm);
        arrive(a.arrived);
    }
}
