// WRONG ON PURPOSE: the sum of each block's elements, with a barrier missing.
//
// sums[block] = x[block * blockDim] + ... ; blockDim is a power of 2, at most 256. The sum is made in halves: in each step a thread adds
// the value of a thread further on. Nothing makes it wait until that thread has written its own sum of the step before. On a GPU this
// often gives the right result, for warps tend to keep pace; block_sum.cu is right always.
//
// rawdiffusion kernels run examples/kernels/block_sum_race.cu --grid 4 --block 256 --args f32:1024=range f32:4 --checked
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
        // Here belongs __syncthreads().
    }
    if (t == 0)
        sums[blockIdx.x] = part[0];
}
