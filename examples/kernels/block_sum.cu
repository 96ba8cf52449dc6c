// The sum of each block's elements: block_sum_race.cu with its barrier.
//
// rawdiffusion kernels run examples/kernels/block_sum.cu --grid 4 --block 256 --args f32:1024=range f32:4 --checked
__global__ void block_sum(const float* x, float* sums)
{
    __shared__ float part[256];
    int t = threadIdx.x;
    part[t] = x[blockIdx.x * blockDim.x + t];
    __syncthreads();
    for (int stride = blockDim.x / 2; stride > 0; stride /= 2)
    {
        if (t < stride)
            part[t] += part[t + stride];
        // Outside of the if: all threads of the block must reach it.
        __syncthreads();
    }
    if (t == 0)
        sums[blockIdx.x] = part[0];
}
