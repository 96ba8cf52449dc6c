namespace RawDiffusion.Diffusion;

/// <summary>What divergences and variances need of the derivatives of a function of samples.</summary>
internal static class Jacobian
{
    /// <summary>
    /// d y_i / d x_i for every number i of every sample, of the shape of x: exact, by a backward pass for each number of a sample. For points.
    /// </summary>
    /// <param name="y">Made of x, of its shape; a sample of it of the same sample of x alone.</param>
    /// <param name="x">The leaf, [n, ...].</param>
    /// <param name="createGraph">Whether the derivatives are to be differentiated again.</param>
    public static Tensor Diagonal(Tensor y, Tensor x, bool createGraph = false)
    {
        int n = x.Shape[0], size = x.Count / n;
        var columns = new Tensor[size];
        for (int i = 0; i < size; i++)
        {
            // One number of all samples at a time; samples do not see each other.
            var unit = new double[size];
            unit[i] = 1;
            var seed = Tensor.From(unit, [1, size], x.Device).BroadcastTo([n, size]).Reshape(x.Shape);
            var row = y.RequiresGrad ? Autograd.Grad(y, [x], seed, retainGraph: true, createGraph: createGraph)[0] : null;
            // None: y does not depend on x.
            columns[i] = row is null ? Tensor.Zeros([n, 1], x.Device) : row.Reshape(n, size).Slice(1, i, 1);
        }
        return Tensor.Concat(columns, axis: 1).Reshape(x.Shape);
    }
}
