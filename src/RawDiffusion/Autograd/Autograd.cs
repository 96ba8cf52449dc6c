namespace RawDiffusion;

/// <summary>Derivatives as functions. None of them touches <see cref="Tensor.Grad"/>.</summary>
public static class Autograd
{
    /// <summary>
    /// The gradients of <paramref name="output"/> with respect to each of <paramref name="inputs"/>, leaves or not; null where
    /// the output does not depend on an input.
    /// </summary>
    /// <param name="gradient">What the gradients are multiplied with from the left; may be left out for a scalar output.</param>
    /// <param name="retainGraph">Keep the tape between the output and the inputs for another backward pass.</param>
    /// <param name="createGraph">Record the backward pass, so that the gradients can be differentiated again.</param>
    public static Tensor?[] Grad(
        Tensor output, ReadOnlySpan<Tensor> inputs, Tensor? gradient = null, bool retainGraph = false, bool createGraph = false) =>
        Engine.Gradients(output, inputs, gradient, retainGraph, createGraph);

    /// <summary>
    /// Vector-Jacobian product: f(x) and v^T df/dx. v has the shape of f(x). Works under <see cref="NoGrad"/> too.
    /// With createGraph both results have a history; without, neither.
    /// </summary>
    public static (Tensor Output, Tensor Product) Vjp(Func<Tensor, Tensor> f, Tensor x, Tensor v, bool createGraph = false)
    {
        var leaf = createGraph && x.RequiresGrad ? x : x.Detach().RequireGrad();
        var y = Record(f, leaf);
        ExpectShape("Vjp", v, y.Shape);
        var product = y.RequiresGrad ? Grad(y, [leaf], v, createGraph: createGraph)[0] : null;
        return (createGraph ? y : y.Detach(), product ?? Tensor.Zeros(x.Shape, x.Device));
    }

    /// <summary>
    /// Jacobian-vector product: f(x) and df/dx v, v of the shape of x. Made of two backward passes: u -> u^T df/dx is linear in
    /// u, and its own vector-Jacobian product with v is the product sought. f must consist of operations that support createGraph.
    /// Works under <see cref="NoGrad"/> too; the results have no history.
    /// </summary>
    public static (Tensor Output, Tensor Product) Jvp(Func<Tensor, Tensor> f, Tensor x, Tensor v)
    {
        ExpectShape("Jvp", v, x.Shape);
        var leaf = x.Detach().RequireGrad();
        var y = Record(f, leaf);
        Tensor? product = null;
        if (y.RequiresGrad)
        {
            var u = Tensor.Zeros(y.Shape, y.Device).RequireGrad();
            var back = Grad(y, [leaf], u, createGraph: true)[0];
            product = back is { RequiresGrad: true } ? Grad(back, [u], v)[0] : null;
        }
        return (y.Detach(), product ?? Tensor.Zeros(y.Shape, y.Device));
    }

    private static Tensor Record(Func<Tensor, Tensor> f, Tensor x)
    {
        bool mode = GradMode.Set(true);
        try
        {
            return f(x);
        }
        finally
        {
            GradMode.Set(mode);
        }
    }

    private static void ExpectShape(string operation, Tensor v, Shape shape)
    {
        if (v.Shape != shape)
            throw new ArgumentException($"{operation}: v must have the shape {shape}, not {v.Shape}.");
    }
}
