// What the kernel of a whole training is given, and what a block keeps in shared memory.
#pragma once
#include "philox.cuh"

#ifndef WIDTH
#define WIDTH 128
#endif

static const int THREADS = 256;
static const int ROWS = 8;           // samples of a tile
static const int QUADS = WIDTH / 4;  // fours of neighbouring elements in a row
static const int OWN = (ROWS * QUADS + THREADS - 1) / THREADS;  // such fours of a tile that a thread has, at most
static const int SCRATCH = 4096;     // floats
static const int MAX_LAYERS = 8;
static const int PIECE = 256;        // parameters of a piece

// AdamWScalars of optimizer.cu, with the rate of the average, and where this step's random numbers begin; MlpTrainStep in C#.
struct MlpTrainStep
{
    unsigned long long first_sample;
    unsigned long long noise_offset;
    float keep;
    float l2;
    float rate1;
    float rate2;
    float step_size;
    float root_scale;
    float epsilon;
    float max_norm;      // infinite: gradients are not clipped
    float average_rate;
};

// A component of the mixture; MlpTrainComponent in C#.
struct MlpTrainComponent
{
    double x;
    double y;
    double deviation;
    double cumulative;   // the sum of the weights up to this one; 1 in the last
};

// MlpTrainArguments in C#, field for field.
struct MlpTrainArguments
{
    PhiloxState data;    // of these two the steps say the offset
    PhiloxState noise;
    const MlpTrainStep* steps;
    const MlpTrainComponent* components;
    const float* alpha;      // [times]
    const float* sigma;      // [times]
    const float* embedding;  // [times, time_width]: of the network's time argument
    float* parameter;        // arenas
    float* gradient;
    float* m;
    float* v;
    float* average;          // may be null
    float* turned;           // [time_width, WIDTH], then [WIDTH, WIDTH] for each layer but the first: weights turned
    float* part_gradient;    // [parts, length]
    float* part_loss;        // [parts]
    float* squares;          // [pieces]
    float* losses;           // [steps]
    float* norms;            // [steps]
    unsigned* arrived;       // 0 at the start
    int step_count;
    int batch;
    int parts;
    int times;
    int time_width;          // a multiple of 4
    int layers;              // 1 to MAX_LAYERS
    int target;              // what the network says: 0 the noise, 1 the clean sample, 2 the velocity
    int length;
    int time_weight;         // offsets in the arena: [WIDTH, time_width]
    int time_bias;
    int output_weight;       // [2, WIDTH]
    int output_bias;
    int hidden_weight[MAX_LAYERS];  // [WIDTH, 2], then [WIDTH, WIDTH]
    int hidden_bias[MAX_LAYERS];
};

// A tile's memory: what a block keeps of 8 samples between forward and backward.
struct Tile
{
    float* scratch;      // SCRATCH
    float* flow;         // [8, WIDTH]: forward the projection of the time, backward the gradient for a layer's sums
    float* value;        // [layers, 8, WIDTH]: silu of a layer's sums
    float* slope;        // [layers, 8, WIDTH]: its derivative
    float* embedding;    // [8, WIDTH], of which time_width are used
    float* x0;           // [8, 2]
    float* noise;        // [8, 2]
    float* xt;           // [8, 2]
    float* target;       // [8, 2]
    float* error;        // [8, 2]: the gradient for the network's answer
    float* sums;         // [32]
    int* time;           // [8]

    __device__ __forceinline__ Tile(float* memory, int layers)
    {
        scratch = memory;
        flow = scratch + SCRATCH;
        value = flow + ROWS * WIDTH;
        slope = value + layers * ROWS * WIDTH;
        embedding = slope + layers * ROWS * WIDTH;
        x0 = embedding + ROWS * WIDTH;
        noise = x0 + 2 * ROWS;
        xt = noise + 2 * ROWS;
        target = xt + 2 * ROWS;
        error = target + 2 * ROWS;
        sums = error + 2 * ROWS;
        time = (int*)(sums + 32);
    }
};
